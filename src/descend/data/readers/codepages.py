"""The likely code page of bytes that are not UTF-8, by the letters of the languages written in it.

Text in Latin letters has its accents one at a time among ASCII letters: such text is taken for a
Western code page unless many of its letters fit only another one. Other scripts fill the upper
half of the bytes in runs: there the frequencies of letters decide.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

# Bytes of the upper half in a row, on average, up to which a text is in Latin letters: 1.0 to 1.2
# in languages of accents (1.2 in Finnish, which doubles its), 4 and more in Cyrillic words.
_MAX_LATIN_RUN = 1.5
# Nats against a code page for each sign that no language written in it has in that place.
_MISFIT = -math.log(0.02)
# Nats that other code pages than Western ones must gain: the evidence of two letters at once, and
# of one letter in thirty in a long text.
_PRIOR, _PRIOR_PER_SIGN = 2 * _MISFIT, _MISFIT / 30
_MAX_MEASURED = 1 << 17

# Letters beyond ASCII by language.
_WESTERN = {
    "French": "àâæçéèêëîïôœùûüÿ", "Spanish": "áéíñóúü", "German": "äöüßé", "Dutch": "ëïéèóöüá",
    "Portuguese": "ãõçáâàéêíóôúü", "Italian": "àèéìíòóùú", "Swedish": "åäöéà", "Danish": "æøåéü",
    "Icelandic": "áðéíóúýþæö", "Catalan": "àçèéíïòóúü", "English": "éèêëïñöüçàâ",
}  # fmt: skip
_CENTRAL = {
    "Polish": "ąćęłńóśźż", "Czech": "áčďéěíňóřšťúůýž", "Slovak": "áäčďéíĺľňóôŕšťúýž",
    "Hungarian": "áéíóöőúüű", "Romanian": "ăâîşţșț", "Croatian": "čćđšž",
}  # fmt: skip
_TURKISH = {"Turkish": "çğıöşüâîûİ"}
_BALTIC = {"Lithuanian": "ąčęėįšųūž", "Latvian": "āčēģīķļņšūž", "Estonian": "äöõüšž"}
# Code page -> what is written in it. The first are Western: the most usual one leads.
_LATIN = {
    "cp1252": _WESTERN, "iso8859-15": _WESTERN, "mac-roman": _WESTERN, "cp850": _WESTERN,
    "cp1250": _CENTRAL, "iso8859-2": _CENTRAL, "cp852": _CENTRAL, "cp1254": _TURKISH,
    "cp1257": _BALTIC,
}  # fmt: skip
_UNLIKELIER = ("iso8859-15", "mac-roman", "cp850")
_QUOTES = frozenset("“”„‘’‚‹›«»–—…¡¿§©®™€£ªº°·•†‰ \xa0\xad")
_SYMBOLS = frozenset("¢¥¦¬±²³µ¶¹¼½¾×÷´¨¯¸¤")
_IN_WORDS = frozenset("’‘·\xad–—")

# Letters by falling frequency. What is not among them is hardly written.
_ALPHABETS = {
    "Russian": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
    "Ukrainian": "оаинітвреслкудмпзяьбгчйхжїшюцщєфґ",
    "Bulgarian": "аиоентрсвлкдпмзябгучщъжхцшюйьф", "Serbian": "аиоенрсјтукдвмлпбзгшчжхћцљњђфџ",
    "Greek": "αοιετσνηυρπκμςλωάίγέόδήθώχφβύξζψϊΐϋΰ", "Hebrew": "יוהלאמתברשנכדעפחקסגטצםןזץףך",
    "Arabic": "الينمتورهبدعسفكقحجطشصخذثضغظزئأإآؤةىء", "Thai": "านรอกเงมยลวดทสต่้ิีัะป็าพคขจหไชใบแโถผซ",
}  # fmt: skip
_SCRIPTS = {
    "cp1251": ("Russian", "Ukrainian", "Bulgarian", "Serbian"), "koi8-r": ("Russian",),
    "koi8-u": ("Ukrainian",), "cp866": ("Russian",), "iso8859-5": ("Russian", "Serbian"),
    "mac-cyrillic": ("Russian",), "cp1253": ("Greek",), "iso8859-7": ("Greek",),
    "cp1255": ("Hebrew",), "cp1256": ("Arabic",), "cp874": ("Thai",),
}  # fmt: skip
# Nats that the mean letter may cost at most; letters at random cost log(alphabet), 3.5, and more.
_MAX_NATS_PER_LETTER = 4.2

# Frequent characters, a quarter of what is written, of each way to write Chinese.
_SIMPLIFIED = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于"
    "着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还"
    "进好小部其些主样理心她本前开但因只从想实"
)
_TRADITIONAL = frozenset(
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於"
    "著下自之年過發後作裡用道行所然家種事成方多經麼去法學如都同現當沒動面起看定天分還"
    "進好小部其些主樣理心她本前開但因只從想實"
)
_MIN_FREQUENT, _MIN_KANA, _MIN_HANGUL = 0.1, 0.15, 0.9
_MAX_BROKEN = 0.01

_RUNS = re.compile(rb"[\x80-\xff]+")


@dataclass(frozen=True, slots=True)
class CodePages:
    """The code pages that a text may be in, with the log-likelihood of each, in nats."""

    nats: dict[str, float]

    @property
    def best(self) -> str | None:
        """The likeliest of them; None if there is none."""
        return max(self.nats, key=self.nats.__getitem__, default=None)

    def choose(self, declared: str | None) -> str | None:
        """`declared`, unless another is likelier by the evidence of five signs; else the best."""
        best = self.best
        if best is None or declared not in self.nats:
            return best
        return best if self.nats[best] > self.nats[declared] + 5 * _MISFIT else declared


def rank_code_pages(sample: bytes) -> CodePages:
    """The code pages that fit `sample`, bytes that are not UTF-8."""
    sample = sample[:_MAX_MEASURED]
    runs = _RUNS.findall(sample)
    if not runs:
        return CodePages({"cp1252": 0.0})
    if sum(map(len, runs)) <= _MAX_LATIN_RUN * len(runs):
        return _rank_latin(sample)
    for ranked in (_rank_wide(sample), _rank_scripts(runs)):
        if ranked.nats:
            return ranked
    return _rank_latin(sample, strict=True)


def _rank_latin(sample: bytes, strict: bool = False) -> CodePages:
    """By the accented letters: how many are of one language, where they may stand."""
    padded = b" " + sample + b" "
    windows = Counter(padded[m.start() - 1 : m.start() + 2]
                      for m in re.finditer(rb"[\x80-\xff]", padded))  # fmt: skip
    total = windows.total()
    nats: dict[str, float] = {}
    for codec, languages in _LATIN.items():
        signs = [(window.decode(codec, "replace"), count) for window, count in windows.items()]
        sets = [frozenset(letters + letters.upper()) for letters in languages.values()]
        misfits = min(sum(n for sign, n in signs if not _fits(sign, s)) for s in sets)
        if misfits > (0.1 if strict else 0.5) * total and total > 8:
            continue
        prior = 0.0
        if codec in _UNLIKELIER:
            prior = _MISFIT / 4
        elif languages is not _WESTERN:
            prior = _PRIOR + _PRIOR_PER_SIGN * total
        nats[codec] = -_MISFIT * misfits - prior
    return CodePages(nats)


def _fits(window: str, letters: frozenset[str]) -> bool:
    """Whether the middle one of three characters may stand there in a language of `letters`."""
    before, sign, after = tuple(window)
    if sign in letters:
        return not (sign.isupper() and before.islower())
    if before.isalpha() and after.isalpha():
        return sign in _IN_WORDS
    return sign in _QUOTES or sign in _SYMBOLS


def _rank_scripts(runs: list[bytes]) -> CodePages:
    """By the frequencies of letters in scripts other than Latin, a byte a letter."""
    nats: dict[str, float] = {}
    for codec, languages in _SCRIPTS.items():
        text = " ".join(run.decode(codec, "replace") for run in runs)
        # Pairs, since a capital within a word gives a wrong code page away.
        pairs = Counter(zip(" " + text, text, strict=False))
        letters = sum(n for (_, sign), n in pairs.items() if sign != " ")
        for language in languages:
            cost = _letters_cost(pairs, _ALPHABETS[language])
            if cost <= _MAX_NATS_PER_LETTER * letters:
                nats[codec] = max(nats.get(codec, -math.inf), -cost)
    return CodePages(nats)


def _letters_cost(pairs: Counter[tuple[str, str]], alphabet: str) -> float:
    """Nats of the letters, each as likely as its rank among those of `alphabet` lets expect."""
    weights = {letter: math.exp(-rank / 10) for rank, letter in enumerate(dict.fromkeys(alphabet))}
    whole = sum(weights.values())
    likely = {letter: 0.95 * weight / whole for letter, weight in weights.items()}
    cost = 0.0
    for (before, sign), count in pairs.items():
        if sign == " ":
            continue
        small = sign.lower()
        p = likely.get(small, 0.004 if sign in _QUOTES or sign in "№" else 0.0005)
        if small != sign and small in likely:
            p *= 0.002 if before.islower() else 0.2
        cost -= count * math.log(p)
    return cost


def _rank_wide(sample: bytes) -> CodePages:
    """By their characters: encodings of two bytes a character, of Japanese, Korean, Chinese."""
    wide: dict[str, str] = {}
    for codec in ("cp932", "euc_jp", "cp949", "gb18030", "big5hkscs"):
        text = sample.decode(codec, "replace")
        signs = "".join(sign for sign in text if sign > "\x7f")
        if signs and signs.count("\ufffd") <= max(1, _MAX_BROKEN * len(signs)):
            wide[codec] = signs
    nats: dict[str, float] = {}
    for codec in ("cp932", "euc_jp"):
        # Halfwidth kana are what Shift JIS makes of single bytes: they are hardly written.
        kana = _fraction(wide.get(codec, ""), "\u3041", "\u30fe")
        half = _fraction(wide.get(codec, ""), "\uff61", "\uff9f")
        if kana >= _MIN_KANA and half < 0.1:
            nats[codec] = len(wide[codec]) * (kana - half)
    if not nats and _fraction(wide.get("cp949", ""), "\uac00", "\ud7a3") >= _MIN_HANGUL:
        return CodePages({"cp949": 0.0})
    if not nats:
        for codec, frequent in (("gb18030", _SIMPLIFIED), ("big5hkscs", _TRADITIONAL)):
            ideographs = [s for s in wide.get(codec, "") if "\u4e00" <= s <= "\u9fff"]
            usual = sum(sign in frequent for sign in ideographs)
            if ideographs and usual >= _MIN_FREQUENT * len(ideographs):
                nats[codec] = float(usual)
    return CodePages(nats)


def _fraction(signs: str, first: str, last: str) -> float:
    """The fraction of `signs` from `first` to `last`, punctuation not counted."""
    counted = [sign for sign in signs if sign.isalpha()]
    return sum(first <= sign <= last for sign in counted) / max(1, len(counted))
