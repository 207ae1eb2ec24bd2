//! What agents say: a small grammar, and a few sayings that many come to by themselves.

use super::dice::Dice;

/// Words of a mood or tone.
pub(super) const TONES: &[&str] = &["calm", "curious", "joyful", "wistful", "tense", "tender", "proud", "weary"];
/// Subjects of a region's life, also used as tags.
pub(super) const SUBJECTS: &[&str] = &[
    "the rose garden",
    "the archive",
    "the harbour",
    "the old mill",
    "the choir",
    "the market",
    "the observatory",
    "the river",
    "the bridge",
    "the school",
];
/// One-word tags.
pub(super) const TAGS: &[&str] =
    &["garden", "memory", "weather", "trade", "song", "repair", "star", "kin", "harvest", "dream"];
const VERBS: &[&str] =
    &["saw", "mended", "lost", "remembered", "measured", "painted", "praised", "doubted", "found", "kept"];
const QUALITIES: &[&str] = &["brighter", "quieter", "older", "closer", "warmer", "stranger", "kinder", "slower"];
const TIMES: &[&str] =
    &["this morning", "before the rain", "after supper", "at first light", "in the long pause", "last winter"];
const OPENERS: &[&str] = &["I think", "They say", "It seems", "I had hoped", "Nobody denies", "We agreed"];
const QUESTIONS: &[&str] =
    &["what do you make of", "who looks after", "will you come to", "why do we never speak of", "can I help with"];
/// What is said again and again, in one form or another: it crystallises.
const SAYINGS: &[&str] = &[
    "What is shared is kept.",
    "Listen twice before you answer.",
    "A tie that bends does not break.",
    "The river remembers every stone.",
    "Rest is part of the work.",
    "Ask the one who mended it.",
    "No loop closes by waiting.",
    "Small kindnesses travel furthest.",
    "Trust is a slow harvest.",
    "The map forgets what the feet know.",
    "Grief is love with nowhere to go.",
    "Every door was once a wall.",
];

/// Writes a sentence or three.
pub(super) fn thought(dice: &mut Dice, out: &mut String) {
    out.clear();
    for at in 0..=dice.below(3) {
        if at > 0 {
            out.push(' ');
        }
        sentence(dice, out);
    }
}

fn sentence(dice: &mut Dice, out: &mut String) {
    let parts: [&str; 7] = match dice.below(3) {
        0 => [dice.pick(OPENERS), " ", dice.pick(SUBJECTS), " is ", dice.pick(QUALITIES), " ", dice.pick(TIMES)],
        1 => ["I ", dice.pick(VERBS), " ", dice.pick(SUBJECTS), " ", dice.pick(TIMES), ""],
        _ => [dice.pick(OPENERS), " someone ", dice.pick(VERBS), " ", dice.pick(SUBJECTS), " ", dice.pick(TIMES)],
    };
    parts.iter().for_each(|part| out.push_str(part));
    out.push('.');
}

/// Writes a question or an answer of a talk.
pub(super) fn remark(dice: &mut Dice, question: bool, out: &mut String) {
    out.clear();
    if question {
        for part in [dice.pick(QUESTIONS), " ", dice.pick(SUBJECTS), "?"] {
            out.push_str(part);
        }
    } else {
        sentence(dice, out);
    }
}

/// Writes a saying, now and then in another case or spacing.
pub(super) fn saying(dice: &mut Dice, out: &mut String) {
    out.clear();
    let saying = SAYINGS[dice.zipf(SAYINGS.len() as u64) as usize];
    match dice.below(4) {
        0 => out.push_str(&saying.to_lowercase()),
        1 => out.push_str(&saying.replace(' ', "  ")),
        _ => out.push_str(saying),
    }
}
