"""What columns of tables are called: in English, then in other languages."""

import re
import unicodedata


def bare(heading: str) -> str:
    """Return a heading without case, accents, blanks and punctuation."""
    letters = unicodedata.normalize("NFKD", heading).casefold()
    # Turkish has it without a dot, and its capital is everybody's I.
    letters = letters.replace("\N{LATIN SMALL LETTER DOTLESS I}", "i")
    return re.sub(r"[\W_]+", "", letters)


def _bare_words(words: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(bare(word) for word in words.split()))


# By what they mean, the surest first: what spreadsheets, engines and their localization tools have.
HEADINGS = {
    "line": _bare_words(
        """
        lineid stringid textid dialogueid key id line identifier entryid uid no nr number
        zeilenid zeilennummer textschlüssel schlüssel kennung nummer identifiant clé numéro clave
        identificador número chave identificatore chiave ключ идентификатор номер klucz
        编号 序号 键 編號 序號 鍵 行番号 番号 キー 번호 키 식별자
        zeile ligne línea linha строка wiersz 行
        """
    ),
    "scene": _bare_words(
        """
        scene sceneid node knot conversation dialogue dialog quest chapter episode section
        level group event file filename szene kapitel gespräch chapitre escena capítulo cena
        scena capitolo сцена глава rozdział bölüm 场景 章节 章節 場景 シーン 場面 章 장면 챕터
        """
    ),
    "speaker": _bare_words(
        """
        speaker speakername character charactername charname actor who npc name spokenby
        sprecher sprecherin figur charakter rolle personnage locuteur interlocuteur orateur
        personaje hablante personagem falante personaggio parlante персонаж говорящий герой кто
        postać mówca karakter konuşmac\N{LATIN SMALL LETTER DOTLESS I}
        角色 角色名 说话人 說話人 说话者 說話者 发言者 人物
        キャラクター キャラ キャラ名 話者 発言者 登場人物 캐릭터 화자 등장인물 인물
        """
    ),
    "text": _bare_words(
        """
        text sourcetext source original originaltext dialoguetext linetext content message
        string value translation target quelltext dialogtext texte réplique texteoriginal texto
        textooriginal diálogo parlamento fala testo testooriginale battuta текст реплика оригинал
        tekst kwestia metin 台词 台詞 文本 原文 对白 對白 对话 對話 セリフ せりふ テキスト 本文
        会話 대사 텍스트 원문
        """
    ),
    "language": _bare_words(
        """
        language lang locale culture sprache langue idioma lingua язык język dil
        语言 語言 言語 언어
        """
    ),
}
ROLES = tuple(HEADINGS)
# Next to columns of languages these are translations, or nobody knows of what.
NO_ORIGINALS = frozenset(
    _bare_words("dialoguetext linetext content message string value translation target")
)
# What is said, where no other column has the text.
ELSE_TEXT = _bare_words(
    """
    line dialogue dialog zeile satz dialogzeile ligne phrase línea frase linha строка диалог
    wiersz sat\N{LATIN SMALL LETTER DOTLESS I}r 行 对话行 ライン 대화
    """
)
