"""Texts that a person may hand over, and that are no ordinary abstracts."""

from __future__ import annotations

from hypothesis import strategies as st

ODD = [
    "",
    " ",
    "the and of",
    "x y z",
    "robot",
    "Only a title",
    "Only a title\n",
    "A title\nand an abstract of robots",
    "\nan abstract of robots without a title",
    "A title\r\nand Windows: the robot arm",
    "A title\n\nthe robot\n\narm\n",
    "lines\u2028of\x85Unicode\x0b\x0cthe\x1crobot",
    "naïve Café CAFÉ cafe\u0301 İstanbul ẞtraße ΣΑΣ ﬁn",
    "🤖 robot 🚀 arm 👩‍🚀 galaxy",
    "日本語 テキスト 𝔘𝔫𝔦 ٣٤ ℃",
    "nul\0byte and\x01control\x1fcharacters_underscore __init__",
    "state-of-the-art robots; state-of-the-art robots: a robot's arm",
    "antidisestablishmentarianism antidisestablishmentarianisms " * 3,
    "we train a robot arm to grasp objects seen by a camera, and the galaxy has a halo. " * 610,
]
assert max(map(len, ODD)) > 50_000

WORDS = st.sampled_from(
    ["the", "of", "a", "robot", "Robots", "arm", "galaxy", "cat", "cats", "é", "naïve", "🤖",
     "𝔘" * 17, "zzzz", "\n", "e\u0301", "日本語"]
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(WORDS, max_size=40).map(" ".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(ODD[:-1]),
)
