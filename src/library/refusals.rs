//! Refusals in words: what a model writes when it finds no answer in what it was given.

use std::sync::LazyLock;

use regex::Regex;

use crate::text;

/// An answer without the sentences that only say that the passages do not hold one: small models add them to what they
/// have just found there.
pub(super) fn without_refusals(answer: &str) -> String {
    let mut kept = String::new();
    let mut end = 0;
    for sentence in text::sentences(answer) {
        let gap = if answer[end..sentence.start].contains('\n') { '\n' } else { ' ' };
        end = sentence.end;
        if !says_nothing(&answer[sentence.clone()]) {
            if !kept.is_empty() {
                kept.push(gap);
            }
            kept.push_str(&answer[sentence]);
        }
    }
    kept
}

/// Whether a sentence says that the passages do not hold the answer. It must speak of them: that a specimen does not
/// contain malignant cells, or that no information may be disclosed, is what a file says.
fn says_nothing(sentence: &str) -> bool {
    // What the model calls what it was given. "This document" is how a document speaks of itself.
    const GIVEN: &str = r"(?:(?:the|these|those|your) (?:(?:above|available|given|provided) )?(?:files?|passages?|documents?|texts?|excerpts?|context|sources?)(?: (?:above|given|provided))?|this (?:passage|excerpt|context)|the (?:given|provided) information|the information (?:given|provided))";
    const SUCH: &str = r"(?:(?:clear|direct|explicit|further|other|relevant|specific|such) )?";
    const LEAD_INS: &str = r"answer|but|however|i am sorry|i['’]m sorry|no|note|regrettably|reply|so|sorry|that|unfortunately|(?:according to|based on|from|given|in) GIVEN";
    const SAYINGS: [&str; 13] = [
        r".*\bfiles do not say\b",
        r"GIVEN (?:do|does|did)(?: not|n['’]t) (?:\w+ly )?(?:address|answer|contain|discuss|indicate|mention|say|specify|state|tell)\b",
        r"GIVEN (?:do|does|did)(?: not|n['’]t) (?:\w+ly )?(?:give|have|include|provide) .*\b(?:answer|details?|information|mention)\b",
        r"there (?:is|was) no SUCH(?:information|mention)\b",
        r"no SUCH(?:information|mention)(?: (?:is|was) (?:available|found|given|made|provided))?\W*$",
        r"no SUCH(?:information|mention) (?:is|was) (?:given|made|provided) (?:about|as to|concerning|of|on|regarding)\b",
        r"no SUCH(?:information|mention) (?:about|concerning|of|on|regarding)\b.* (?:given|provided)\W*$",
        r"no SUCH(?:information|mention)\b.* (?:by|in) GIVEN\W*$",
        r"it is not (?:\w+ly )?(?:mentioned|said|specified|stated)\b",
        r"it can ?not be determined\W*$",
        r"i (?:can ?not|can['’]t|could not|couldn['’]t) (?:find|see) (?:it\b|(?:any|an|the) SUCH(?:answer|information|mention)\b|.*\b(?:from|in) GIVEN\W*$)",
        r".*\b(?:are|is|was|were) not (?:\w+ly )?(?:addressed|found|given|mentioned|provided|said|specified|stated) (?:by|in) GIVEN\W*$",
        r".*\bcan ?not be (?:answered|determined|found) (?:based on|by|from|in|with) GIVEN\W*$",
    ];
    static SAYS_NOTHING: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = format!(r"(?i)^[\W\d]*(?:(?:{LEAD_INS})\W+)*(?:{})", SAYINGS.join("|"));
        Regex::new(&pattern.replace("GIVEN", GIVEN).replace("SUCH", SUCH)).expect("the pattern is right")
    });
    SAYS_NOTHING.is_match(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_finds_nothing_is_understood() {
        let check = |answer: &str, kept: &str| assert_eq!(without_refusals(answer), kept, "{answer}");
        for answer in
            ["The files do not say.", "The passages do not mention rent.", "", "There is no information on it."]
        {
            check(answer, "");
        }
        for answer in [
            "Unfortunately, the passages do not contain the answer.",
            "I’m sorry, but the provided context doesn’t mention rent.",
            "No, the documents do not say so.",
            "**Answer:** The files do not say",
            "1. This passage does not specify a date.",
            "The context does not provide any information about pets.",
            "Based on the passages provided, there is no mention of a deposit.",
            "The rent is not explicitly mentioned in the passages.",
            "The date cannot be determined from the given text.",
            "It cannot be determined.",
            "It is not stated who pays.",
            "No information is given about pets.",
            "No information about pets is provided in the passages.",
            "I could not find any information on it.",
        ] {
            check(answer, "");
        }
        for answer in ["Yes. The tenant may assign.", "No. The lease forbids it.", "$4,500", "1. Rent\n2. Heating"] {
            check(answer, answer);
        }
        check("The notice is 120 days. The files do not say.", "The notice is 120 days.");
    }

    #[test]
    fn what_a_file_denies_is_no_refusal() {
        for answer in [
            "The Software does not contain any viruses.",
            "The specimen does not contain malignant cells.",
            "No information may be disclosed to third parties without consent.",
            "No information is provided to third parties.",
            "This document does not contain legal advice.",
            "The patient does not say when it began.",
            "The value cannot be determined by the parties.",
            "Fees not specified in the Schedule are borne by the Tenant.",
            "No, the document does not allow the Tenant to share it.",
        ] {
            assert_eq!(without_refusals(answer), answer);
        }
    }
}
