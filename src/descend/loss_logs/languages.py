"""Logs in other languages: their words and numbers as an English program would print them.

Words are those of people's own training loops in German, French, Spanish, Portuguese, Italian,
Dutch, Polish, Russian, Turkish, Chinese, Japanese, and Korean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_WORDS: dict[str, str] = {
    "loss": "verlust verluste perte pertes pérdida perdida perda perdita verlies strata потери "
    "потеря лосс kayıp 损失值 损失 損失 ロス 誤差 손실",
    "train": "entraînement entrainement apprentissage entrenamiento treino treinamento "
    "addestramento treningowa обучения обучение обучающая eğitim 训练集 训练 訓練 学習 훈련 학습",
    "validation": "validierung prüfung validación validacion validação validacao validazione "
    "validatie walidacyjna walidacji валидации валидация валидационная doğrulama 验证集 验证 驗證 "
    "检验 検証 評価 검증 평가",
    "test": "тест тестовая 测试集 测试 測試 テスト 테스트",
    "step": "schritt schritte étape etape paso pasos passo passos stap krok kroku шаг шага adım "
    "iteração iteración itération iterazione iteracja итерация 步数 步骤 步 迭代次数 迭代 批次 "
    "ステップ数 ステップ イテレーション 스텝 단계",
    "epoch": "epoche epochen époque epoque época epoca épocas epoka эпоха эпохи devir 轮次 轮数 轮 "
    "回合 エポック 에포크 에폭",
    "learning rate": "lernrate taux_d'apprentissage tasa_de_aprendizaje taxa_de_aprendizado "
    "taxa_de_aprendizagem tasso_di_apprendimento leersnelheid współczynnik_uczenia "
    "скорость_обучения öğrenme_oranı 学习率 學習率 学習率 학습률",
    "perplexity": "perplexität perplexitaet perplexité perplejidad perplexidade perplessità "
    "perplexiteit перплексия 困惑度 パープレキシティ 퍼플렉시티",
    "best": "beste bester bestes niedrigster meilleure meilleur mejor melhor migliore лучшая "
    "лучший najlepsza 最佳 最优 最小 最低 最好 最良 최저 최고",
    "average": "mittlerer durchschnittlicher moyenne promedio média gemiddeld средняя średnia 平均 "
    "均值 평균",
    "gradient norm": "gradientennorm norme_du_gradient 梯度范数 勾配ノルム",
}  # fmt: skip
"""English words, and what they are called elsewhere; `_` stands for a space."""
_ENGLISH = {
    word.replace("_", " "): english for english, words in _WORDS.items() for word in words.split()
}
_PREFIXES = {"validierungs": "validation", "prüf": "validation", "validation": "validation",
             "val": "validation", "test": "test", "trainings": "train",
             "train": "train"}  # fmt: skip
"""What German writes in front of a loss, as one word."""


def _alternatives(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


_ALPHABETIC = [word for word in _ENGLISH if word[0] < "\u0500"]
_COMPOUND = re.compile(rf"\b({_alternatives(_PREFIXES)})[-_ ]?verlust", re.IGNORECASE)
_WORD = re.compile(rf"(?<![^\W_])({_alternatives(_ALPHABETIC)})(?![^\W_])", re.IGNORECASE)
_IDEOGRAPHIC = re.compile(f"({_alternatives(set(_ENGLISH) - set(_ALPHABETIC))})")
_COUNTED = "轮次|轮|回合|エポック|에포크|에폭|步|ステップ|스텝"
_NUMBERED = re.compile(
    rf"第\s*(\d+)\s*[个個]?\s*({_COUNTED})(?!数)|(?<![^\W_])(\d+)[个個]?({_COUNTED})(?!数)"
)
"""A counter whose name follows its number: `第3轮`."""
_TOTAL = re.compile(r"[/,]?\s*[共總总]\s*\d+\s*(?:轮次|轮|回合|步|エポック|ステップ)")
_OUT_OF = re.compile(r"(?<=\d)\s+(?:von|sur|de|из|di|van)\s+(?=\d)")
_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {
    ord(sign): plain for sign, plain in zip("，、。【】「」　：；", (
        ", ", ", ", ". ", "[", "] ", "[", "] ", " ", ": ", "; "), strict=True)
}  # fmt: skip
"""Punctuation that is as wide as a Chinese character."""
_DASHES = re.compile(r"\s[–—]\s")
_LOSS_WORDS = [
    w for w, english in _ENGLISH.items() if english in ("loss", "perplexity") and w != "strata"
]
_ALPHABETIC_LOSS = _alternatives(w for w in _LOSS_WORDS if w[0] < "\u0500")
_FOREIGN = re.compile(
    rf"(?<![^\W_])(?:{_ALPHABETIC_LOSS})(?![^\W_])|{_COMPOUND.pattern}|strata\W*\d"
    rf"|{_alternatives(w for w in _LOSS_WORDS if w[0] >= chr(0x500))}", re.IGNORECASE,
)  # fmt: skip
"""A word for a loss that English does not have."""
_COMMA_LOSS = re.compile(r"\bloss\W{0,4}\d{1,2},\d+(?![\d.,])", re.IGNORECASE)
"""A loss with a decimal comma: none goes into the thousands."""
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?![\d.])")
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")


class Translator:
    """Turns lines into what an English program would print.

    `is_foreign`: whether the log has a word for a loss in another language; then its other words
    are translated as well. `has_decimal_commas`: whether its losses have a decimal comma.
    """

    def __init__(self, head: Iterable[str] = ()) -> None:
        self.is_foreign = self.has_decimal_commas = False
        for text in head:
            self.translate(text)

    def translate(self, text: str) -> str:
        """Return the line `text` with English words and decimal points."""
        self.is_foreign = self.is_foreign or _FOREIGN.search(text) is not None
        if self.is_foreign:
            text = translate_words(text)
        elif not text.isascii():
            text = text.translate(_FULL_WIDTH)
        if not self.has_decimal_commas and "," in text:
            self.has_decimal_commas = _COMMA_LOSS.search(text) is not None
        if self.has_decimal_commas:
            text = _THOUSANDS.sub(lambda match: match[0].replace(".", ""), text)
            text = _DECIMAL_COMMA.sub(".", text)
        return text


def _name_first(match: re.Match[str]) -> str:
    return f" {_ENGLISH[match[2] or match[4]]} {match[1] or match[3]} "


@lru_cache(maxsize=4096)
def translate_words(text: str) -> str:
    """Return `text` with the words of other languages for losses, counters, and rates in
    English."""
    if not text.isascii():
        text = _DASHES.sub(" ; ", text.translate(_FULL_WIDTH))
        text = _TOTAL.sub("", text)
        text = _NUMBERED.sub(_name_first, text)
        text = _IDEOGRAPHIC.sub(lambda match: f" {_ENGLISH[match[1]]} ", text)
    text = _OUT_OF.sub("/", text)
    text = _COMPOUND.sub(lambda match: f"{_PREFIXES[match[1].lower()]} loss", text)
    return _WORD.sub(lambda match: _ENGLISH[match[1].lower()], text)
