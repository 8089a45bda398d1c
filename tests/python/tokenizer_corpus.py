"""The texts that tokenizers are compared on: hand-picked hard ones, and random strings."""

import random
import unicodedata

from tokenizers import normalizers

LANGUAGES = [
    "The quick brown fox jumps over the lazy dog; it's said they'll've done so since 1885.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. STRAẞE und Straße.",
    "Portez ce vieux whisky au juge blond qui fume : « Où êtes-vous ? », dit-il à l'œuvre.",
    "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío, ¿verdad? ¡Sí!",
    "Luís argüia à Júlia que «brações, fé, chá, óxido, pôr, zângão» eram palavras do português.",
    "Quel vituperabile xenofobo zelante assaggia il whisky ed esclama: alleluja!",
    "Pchnąć w tę łódź jeża lub ośm skrzyń fig.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Pijamalı hasta yağız şoföre çabucak güvendi. İSTANBUL'da ılık ırmak.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. Ёжик — 42 года.",
    "Жебракують філософи при ґанку церкви в Гадячі, ще й шатро їхнє п'яне знаємо.",
    "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία. Ὀδυσσεύς, ἄνδρα μοι ἔννεπε.",
    "נשר דופק בחורה מזמן, אך טעה. שָׁלוֹם עֲלֵיכֶם",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر. ٠١٢٣٤٥٦٧٨٩ بِسْمِ ٱللَّٰهِ",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश करने वाले। १२३",
    "আমি বাংলায় গান গাই। সাল ১৯৭১।",
    "வணக்கம் உலகம், எப்படி இருக்கிறீர்கள்?",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน",
    "Do bạch kim rất quý nên sẽ dùng để lắp vô xương. Tiếng Việt đẹp lắm!",
    "いろはにほへと ちりぬるを。カタカナ、ｶﾀｶﾅ、漢字とABCを混ぜて「テスト」する。",
    "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다. ㅋㅋㅋ 각",
    "我能吞下玻璃而不伤身体。𠀀𠮷野家，２０２６年１１月，“引号”、《书名》。",
    "ຂອ້ຍກິນແກ້ວໄດ້ໂດຍທີ່ມັນບໍ່ໄດ້ເຮັດໃຫ້ຂອ້ຍເຈັບ. កាល្យាណមិត្ត မြန်မာ ཨོཾ་མ་ཎི་པདྨེ་ཧཱུྃ",
    "ყველა ენა კარგია. Բարեւ ձեզ։ ሰላም ለዓለም። ᏣᎳᎩ ᓀᐦᐃᔭᐍᐏᐣ",
]

CODE = [
    "def f(x: int) -> str:\n    \"\"\"Doc.\"\"\"\n    return f\"{x!r:>10}\"  # don't\n\n\nclass A(B):\n"
    "\tpass\n",
    "#include <vector>\ntemplate<class T> auto f(T&& x) -> decltype(auto) { return x<<=2, x->*y; }\r\n"
    "int main(){for(;;){if(a&&b||!c)break;}}//end\r\n",
    "SELECT * FROM `t` WHERE a >= 10 AND b <> 'it''s' ORDER BY c DESC LIMIT 1000000;",
    "<html><body class=\"x\"><!-- c --><|p|>&amp;&#x20;</body></html>\n",
    "{\"key\": [1, 2.5e-10, null, true], \"nested\": {\"a\\n\": \"\\u00e9\"}}",
    "https://example.org/a/b?q=1&r=%20#frag user@mail.example 127.0.0.1:8080 C:\\Temp\\x.txt",
    "0x1F 1_000_000 3.14159265358979 1e-5 12345678901234567890 ½ ² Ⅷ ① ৩ 𝟘𝟙",
    "$\\frac{a}{b} \\leq \\sum_{i=0}^{n} x_i^2$ ∀x∈ℝ: ⌈x⌉ = −⌊−x⌋ → √2≈1.414 ± 5%",
]

EMOJI = [
    "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🇩🇪🇫🇷🇯🇵 ❤️ ❤ 1️⃣ ☎️ 🙂🙃 👨🏿‍🚀",
    "e\u0301 é E\u0301\u0323 \u1e69 s\u0323\u0307 s\u0307\u0323 \u212b Å A\u030a ﬁ ﬃ ½ ℌ Ⅳ ｱ",
    "\u1100\u1161\u11a8 각 \uac00\u11a8 \u1112\u1161\u11ab한",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg\u034fh \u202eabc\u202c \u061c \u180e \u3164",
    "\u00a0\u1680\u2000\u2009\u200a\u2028\u2029\u202f\u205f\u3000\x85\x1c\x1d\x1e\x1f x\u00a0y",
]

CONTROL = [
    "", " ", "  ", "\n", "\t", "\r", "\r\n", "\0", "a\0b\0\0", "\x01\x02\x7f\x1b[31m",
    "".join(map(chr, range(128))), "".join(map(chr, range(128, 384))),
    " a", "a ", "  a  b   c    ", " \n \n\n  x", "\n\n\n\n", "x\n\n\n", "\t\t\tx", " \t \n\r\n \x0b\x0c ",
    "'s 't 're 'VE 'Ll don't DON'T ''s 'ſ ’s", "a'b'c", "!!!???...---___", "a.b,c;d:e!f?g",
    "word words sword wor ab abc abcd two words  left  right  ", "x<|s|>y <|strip|> z<|strip|>",
    "<s> </s> <unk> </turn> <mid>  x <0x41> <0x0A>", "<|im_start|>user\nhi<|im_end|>\n",
    "<|begin_of_text|><|endoftext|> <|eot_id|><|im_start", "▁▁a▁b ▁ c", "Ġa Ċ ł", "Hello\u2581world",
]

LONG = [
    " " * 3000, "\n" * 3000, "1" * 3000, "a" * 5000, "ab" * 3000, "é" * 2000, "\t \n" * 1000,
    "🙂" * 700, "漢" * 2000, "e\u0301" * 1000, "\u0301" * 500, " a" * 2000, "-" * 2500,
    "x" * 100 + " " * 100 + "\n" * 100 + "y" * 100, "Lorem ipsum dolor " * 300,
]

INVALID = [
    b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x99", b"a\x80b\xbfc", b"\xc0\xaf", b"\xe0\x80\xaf",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x28\xa1 \xf0\x28\x8c\xbc",
    b"ok \xe2\x82 ok \xf0\x9f ok", bytes(range(256)), bytes(range(255, -1, -1)), b"\xef\xbb\xbfbom",
    b"\xf0\x9f\x99\x82\xf0\x9f\x99", b" \xff \xff\xff", b"<|im_end|>\xff<|im_end|>",
]


def corpus():
    """Texts, as str or (where not UTF-8) bytes."""
    return LANGUAGES + CODE + EMOJI + CONTROL + LONG + INVALID


def training_text():
    return [t for t in LANGUAGES + CODE for _ in range(3)] + CODE


def known_code_points():
    """The code points whose decomposition, combining class and category `tokenizers` knows: its
    tables are older than other libraries', and what came later differs for that reason only."""
    chars = [chr(c) for c in range(0x20000) if c not in range(0xFDD0, 0xFDF0)
             and unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    # U+0345 has the highest combining class: what has one at all moves in front of it.
    text = "\ue000".join(f"\u0345{c}" for c in chars)
    theirs = normalizers.NFKD().normalize_str(text).split("\ue000")
    bare = normalizers.StripAccents().normalize_str("\ue000".join(chars)).split("\ue000")
    return [ord(c) for c, a, b in zip(chars, theirs, bare, strict=True)
            if a == unicodedata.normalize("NFKD", f"\u0345{c}")
            and (b == "") == unicodedata.category(c).startswith("M")]


KNOWN = known_code_points()


def fuzz(seed, n):
    """Random strings: of any characters, of characters near each other, of corpus fragments."""
    rng = random.Random(seed)
    fragments = [t for t in corpus() if isinstance(t, str) and 0 < len(t) < 300]
    special = list(" \n\r\t'!_-1aéZ\u0301\u00a0\u3000▁<|>🙂漢")
    texts = []
    for _ in range(n):
        kind = rng.randrange(5)
        length = rng.randrange(1, 40)
        if kind == 0:
            texts.append("".join(chr(rng.choice(KNOWN)) for _ in range(length)))
        elif kind == 1:
            start = rng.randrange(len(KNOWN) - 64)
            texts.append("".join(chr(KNOWN[start + rng.randrange(64)]) for _ in range(length)))
        elif kind == 2:
            texts.append("".join(rng.choice(special) for _ in range(length)))
        elif kind == 3:
            parts = []
            for _ in range(rng.randrange(1, 6)):
                text = rng.choice(fragments)
                begin = rng.randrange(len(text))
                parts.append(text[begin:begin + rng.randrange(1, 30)])
            texts.append("".join(parts))
        else:
            texts.append(bytes(rng.choice(b"\xc3\xe2\xf0\x9f\x82\xac ab\n\xed\xa0\xff")
                               for _ in range(length)))
    return texts


# The first letters of fifty scripts' blocks, and how many letters to take.
SCRIPTS = [
    (0x41, 26), (0x61, 26), (0xC0, 60), (0x100, 120), (0x250, 90), (0x391, 60), (0x410, 64),
    (0x531, 38), (0x5D0, 27), (0x621, 36), (0x710, 30), (0x780, 38), (0x7CA, 33), (0x904, 54),
    (0x985, 8), (0xA05, 6), (0xA85, 9), (0xB05, 8), (0xB85, 6), (0xC05, 8), (0xC85, 8),
    (0xD05, 8), (0xD85, 18), (0xE01, 48), (0xE81, 2), (0xF40, 8), (0x1000, 42), (0x10D0, 33),
    (0x1100, 19), (0x1200, 72), (0x13A0, 80), (0x1401, 300), (0x1681, 26), (0x16A0, 75),
    (0x1780, 36), (0x1820, 80), (0x1950, 29), (0x1A00, 23), (0x1B05, 46), (0x1B83, 30),
    (0x1C00, 36), (0x1C5A, 30), (0x2C00, 46), (0x2D30, 54), (0x3041, 86), (0x30A1, 90),
    (0x3105, 41), (0x4E00, 3000), (0xA000, 1000), (0xA840, 50), (0xAC00, 3000), (0x10330, 26),
    (0x12000, 500), (0x13000, 500), (0x1D400, 300), (0x20000, 300),
]


def _words_of_a_script(rng, first, count):
    return " ".join("".join(chr(first + rng.randrange(count)) for _ in range(rng.randrange(1, 12)))
                    for _ in range(rng.randrange(5, 60)))


def hard_text(bytes_=5 << 20):
    """At least so many bytes of text in parts of some kilobytes: scripts, code, marks, emoji,
    controls, white space, long words, added tokens inside words."""
    rng = random.Random(20)
    fragments = [t for t in corpus() if isinstance(t, str) and 0 < len(t) < 3000]
    known = set(KNOWN)
    odd = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u0301\u0323\u0308\u20dd\ufe0f🙂👩‍👧🏽🇩🇪\0\x01\x1b\x7f\x85"
    markers = ["<|endoftext|>", "</s>", "<s>", "<unk>", "[MASK]", "<|im_end|>", "<bos>", "▁", "##"]
    parts, size = [], 0
    while size < bytes_:
        part = []
        for _ in range(rng.randrange(5, 40)):
            kind = rng.randrange(8)
            if kind < 3:
                first, count = rng.choice(SCRIPTS)
                text = _words_of_a_script(rng, first, count)
                part.append("".join(c for c in text if ord(c) in known or c == " "))
            elif kind == 3:
                part.append(rng.choice(CODE) * rng.randrange(1, 4))
            elif kind == 4:
                part.append("".join(rng.choice(odd + "ab é") for _ in range(rng.randrange(80))))
            elif kind == 5:
                part.append("".join(rng.choice(" \n\t\r\u00a0\u3000") for _ in range(
                    rng.randrange(60))))
            elif kind == 6:
                part.append(rng.choice("abzé漢1-") * rng.randrange(400))
            else:
                text = rng.choice(fragments)
                at = rng.randrange(len(text))
                part.append(text[:at] + rng.choice(markers) + text[at:])
            part.append(rng.choice(["", " ", "\n"]))
        parts.append("".join(part))
        size += len(parts[-1].encode())
    return parts
