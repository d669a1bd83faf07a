"""The likely code page of bytes that are not UTF-8, by the letters of the languages written in it.

Text in Latin letters has its accents among ASCII letters: such text is taken for a Western code
page unless its letters fit only another one, or are those of another language. Other scripts fill
the upper half of the bytes in runs: there the frequencies of letters decide.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from string import ascii_lowercase

# Bytes of the upper half in a row, on average, up to which a text is in Latin letters: 1.0 to 1.2
# in languages of accents (1.2 in Finnish, which doubles its), 4 and more in Cyrillic words.
_MAX_LATIN_RUN = 1.5
# And up to which it is, where nearly all of the runs touch ASCII letters: Czech has "ží" and "žší".
_MAX_ACCENTED_RUN, _MIN_TOUCHING = 2.2, 0.8
# Nats against a code page for each sign that no language written in it has in that place.
_MISFIT = -math.log(0.02)
# Nats that other code pages than Western ones must gain: the evidence of two letters at once, and
# of one letter in thirty in a long text.
_PRIOR, _PRIOR_PER_SIGN = 2 * _MISFIT, _MISFIT / 30
_MAX_MEASURED = 1 << 17
# Misfits that a letter costs which a language has, but hardly ever.
_RARE_COST = 0.4
# Nats that the ASCII letters may count against a language, at most: names are of other languages.
_MAX_ASCII_NATS = 4 * _MISFIT
# Letters are exp(-rank / 8) as frequent as the first, and those not listed, as the 36th would be.
_LETTERS_PER_NAT, _RANK_OF_OTHERS = 8, 36

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
_RARE = {
    "French": "æüÿ", "Spanish": "ü", "German": "é", "Dutch": "ïèóöüá", "Portuguese": "ü",
    "Italian": "íóú", "Swedish": "éà", "Danish": "éü", "English": _WESTERN["English"],
}  # fmt: skip
# The most frequent letters by falling frequency, from `charset_normalizer.constant.FREQUENCIES`;
# those of Icelandic, Catalan, and Latvian by hand.
_FREQUENT = {
    "French": "easnitrluodcpmévgfbhqàxèyj", "Spanish": "eaonsrildtcumpbgvfyóhqíjzá",
    "German": "enirstadhulgocmbfkwzpvüäöj", "Dutch": "enairtodslghvmukcpbwjzfyxë",
    "Portuguese": "aeosirdntmuclpgvbfhãqéçází", "Italian": "eiaonltrscdupmgvfbzhqèàkyò",
    "Swedish": "eanrtsildomkgvhfupäcböåyjx", "Danish": "erntaisdlogmkfvubhpåyøæcjw",
    "Icelandic": "arnieusltðgmkfhvoáþídjóbyæ", "Catalan": "easrlintocudmpvbgfqhéxjòàz",
    "English": "eationsrhldcumfpgwybvkxjzq", "Polish": "aioenrzwsctkydpmuljłgbhąęó",
    "Czech": "oeantsilvrkdumpíchzáyjběéř", "Slovak": "oaenirvtslkdmpuchjbzáyýíčé",
    "Hungarian": "eatlsnkriozáégmbyvdhupjöfc", "Romanian": "eiarntulocsdpmăfvîgbșțzhâj",
    "Croatian": "aioenrjstuklvdmpgzbcčhšžćf", "Turkish": "aeinrlıkdtsmyuobüşvgzhcpçğ",
    "Lithuanian": "iasoretnukmlpvdjgėbyųšžcąį", "Latvian": "aistenrkoāumdlpvzgjbīcēšņf",
    "Estonian": "aiestlunokrdmvgpjhäbõüfcöy",
}  # fmt: skip
# Code page -> what is written in it. The first are Western: the most usual one leads.
_LATIN = {
    "cp1252": _WESTERN, "iso8859-15": _WESTERN, "mac-roman": _WESTERN, "cp850": _WESTERN,
    "cp1250": _CENTRAL, "iso8859-2": _CENTRAL, "cp852": _CENTRAL, "cp1254": _TURKISH,
    "cp857": _TURKISH, "cp1257": _BALTIC, "iso8859-13": _BALTIC,
}  # fmt: skip
_UNLIKELIER = ("iso8859-15", "mac-roman", "cp850")
_QUOTES = frozenset("“”„‘’‚‹›«»–—…¡¿§©®™€£ªº°·•†‰ \xa0\xad")
_SYMBOLS = frozenset("¢¥¦¬±²³µ¶¹¼½¾×÷´¨¯¸¤")
# Never right after a letter, but for exponents of units such as m².
_OPENING, _EXPONENTS = frozenset("„‚¿¡‰"), frozenset("¹²³")
# Never right before a letter unless after one.
_CLOSING = frozenset("®™©‰…ªº")
_UNITS = frozenset("mnxcrs")
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
    "mac-cyrillic": ("Russian", "Ukrainian"), "cp1253": ("Greek",), "iso8859-7": ("Greek",),
    "cp737": ("Greek",), "cp1255": ("Hebrew",), "cp862": ("Hebrew",), "cp1256": ("Arabic",),
    "iso8859-6": ("Arabic",), "cp874": ("Thai",),
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
# And of Korean, half of what is written.
_KOREAN = frozenset(
    "이다는을의에가고하로지은한사를기도어리서시인자그대아해나있과수전정일부만들제여것스상라장"
    "와니으보"
)
_FREQUENT_IN_CHINESE, _FREQUENT_IN_KOREAN = 0.25, 0.5
_MIN_FREQUENT, _MIN_KANA, _MIN_HANGUL = 0.1, 0.15, 0.9
_MAX_BROKEN = 0.01

_RUNS = re.compile(rb"[\x80-\xff]+")
_ASCII_LETTERS = re.compile(rb"[A-Za-z]+")
_TOUCHING = re.compile(rb"(?<=[A-Za-z])[\x80-\xff]+|[\x80-\xff]+(?=[A-Za-z])")


@dataclass(frozen=True, slots=True)
class CodePages:
    """The code pages that a text may be in, with the log-likelihood of each, in nats."""

    nats: dict[str, float]

    @property
    def best(self) -> str | None:
        """The likeliest of them; None if there is none."""
        return max(self.nats, key=self.nats.__getitem__, default=None)

    def choose(self, declared: str | None) -> str | None:
        """Return `declared`, unless another is likelier by the evidence of five signs; else the
        best."""
        best = self.best
        if best is None or declared not in self.nats:
            return best
        return best if self.nats[best] > self.nats[declared] + 5 * _MISFIT else declared


def rank_code_pages(sample: bytes) -> CodePages:
    """Return the code pages that fit `sample`, bytes that are not UTF-8."""
    sample = sample[:_MAX_MEASURED]
    runs = _RUNS.findall(sample)
    if not runs:
        return CodePages({"cp1252": 0.0})
    mean_run = sum(map(len, runs)) / len(runs)
    letters = sum(map(len, _ASCII_LETTERS.findall(sample)))
    is_dense = len(runs) > 8 and sum(map(len, runs)) > letters
    if mean_run <= _MAX_LATIN_RUN and not is_dense:
        return _rank_latin(sample)
    touching = len(_TOUCHING.findall(sample))
    if not is_dense and mean_run <= _MAX_ACCENTED_RUN and touching >= _MIN_TOUCHING * len(runs):
        latin = _rank_latin(sample, strict=True)
        if latin.nats:
            return latin
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
    ascii_nats = _rank_languages(sample)
    nats: dict[str, float] = {}
    for codec, languages in _LATIN.items():
        signs = [(window.decode(codec, "replace"), count) for window, count in windows.items()]
        scores = []
        for language, letters in languages.items():
            known = frozenset(letters + letters.upper())
            rare = frozenset(_RARE.get(language, "") + _RARE.get(language, "").upper())
            misfits = sum(n * _misfit(sign, known, rare) for sign, n in signs)
            if misfits <= (0.1 if strict else 0.5) * total or total <= 8:
                scores.append(ascii_nats[language] - _MISFIT * misfits)
        prior = 0.0
        if codec in _UNLIKELIER:
            prior = _MISFIT / 4
        elif languages is not _WESTERN:
            prior = _PRIOR + _PRIOR_PER_SIGN * total
        if scores:
            nats[codec] = max(scores) - prior
    return CodePages(nats)


def _misfit(window: str, letters: frozenset[str], rare: frozenset[str]) -> float:
    """Return how badly the middle one of three characters fits there in a language: 0 to 1."""
    before, sign, after = tuple(window)
    if sign in letters:
        if sign.isupper() and before.islower():
            return 1.0
        return _RARE_COST if sign in rare else 0.0
    if before.isalpha() and after.isalpha():
        return float(sign not in _IN_WORDS)
    if sign in _EXPONENTS:
        return float((before.isalpha() and before.lower() not in _UNITS) or after.isalpha())
    if sign in _SYMBOLS:
        return float(before.isalpha() or (after.isalpha() and sign != "µ"))
    if sign not in _QUOTES or (sign in _OPENING and before.isalpha()):
        return 1.0
    return float(sign in _CLOSING and after.isalpha())


def _rank_languages(sample: bytes) -> dict[str, float]:
    """Return nats against each language by the ASCII letters, which may also be of English
    words."""
    counts = Counter(sample.decode("ascii", "ignore").lower())
    nats = {}
    for language, order in _FREQUENT.items():
        ranks = {letter: rank for rank, letter in enumerate(order)}
        weights = {
            c: math.exp(-ranks.get(c, _RANK_OF_OTHERS) / _LETTERS_PER_NAT) for c in ascii_lowercase
        }
        log_sum = math.log(sum(weights.values()))
        nats[language] = sum(n * (math.log(weights[c]) - log_sum)
                             for c, n in counts.items() if c in weights)  # fmt: skip
    best, english = max(nats.values()), nats["English"]
    return {x: max(-_MAX_ASCII_NATS, max(n, english) - best) for x, n in nats.items()}


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
    """Return nats of the letters, each as likely as its rank among those of `alphabet` lets
    expect."""
    weights = {letter: math.exp(-rank / 10) for rank, letter in enumerate(dict.fromkeys(alphabet))}
    whole = sum(weights.values())
    likely = {letter: 0.95 * weight / whole for letter, weight in weights.items()}
    cost = 0.0
    for (before, sign), count in pairs.items():
        if sign == " ":
            continue
        small = sign.lower()
        p = likely.get(small, 0.002 if sign in _QUOTES or sign in "№" else 0.0005)
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
    if nats:
        return CodePages(nats)
    for codec, frequent in (("gb18030", _SIMPLIFIED), ("big5hkscs", _TRADITIONAL)):
        ideographs = [s for s in wide.get(codec, "") if "\u4e00" <= s <= "\u9fff"]
        usual = sum(sign in frequent for sign in ideographs)
        if ideographs and usual >= _MIN_FREQUENT * len(ideographs):
            nats[codec] = usual / _FREQUENT_IN_CHINESE
    korean = wide.get("cp949", "")
    if _fraction(korean, "\uac00", "\ud7a3") >= _MIN_HANGUL:
        nats["cp949"] = sum(sign in _KOREAN for sign in korean) / _FREQUENT_IN_KOREAN
    return CodePages(nats)


def _fraction(signs: str, first: str, last: str) -> float:
    """Return the fraction of `signs` from `first` to `last`, punctuation not counted."""
    counted = [sign for sign in signs if sign.isalpha()]
    return sum(first <= sign <= last for sign in counted) / max(1, len(counted))
