//! Questions in many wordings against a shelf of documents.

use std::{fmt::Write, sync::Arc};

use uuid::Uuid;

use super::*;
use crate::store::CollectionId;

const LONG: u32 = 40;
const SHORT: u32 = 2;

/// A file's name, how it begins, how many chunks it has, and a sample of its text.
type Shelved<'a> = (&'a str, &'a str, u32, &'a str);

const CLAUSES: &str = "The tenant shall keep insurance. Notice to terminate is thirty days. Fees are paid by the month. \
    The governing law is that of the State. Neither party may assign this agreement. The licence is granted.";

fn shelf(documents: &[Shelved]) -> Identities {
    let identity = |(at, (file, opening, chunks, sample)): (usize, &Shelved)| {
        let (id, collection) = (DocumentId(Uuid::from_u128(at as u128)), CollectionId(Uuid::nil()));
        Arc::new(Identity::new(id, collection, &[(*file).to_owned()], None, opening, *chunks, Some(sample)))
    };
    Identities::new(documents.iter().enumerate().map(identity).collect())
}

fn contracts() -> Identities {
    shelf(&[
        ("AcmeHoldingsInc_20180417_EX-10.1_Lease.pdf", "LEASE between Acme Holdings, Inc. and Bolt Ltd", LONG, CLAUSES),
        ("scan 0042.pdf", "RESELLER AGREEMENT between Zephyr Data LLC and Orchid Systems, Inc", LONG, CLAUSES),
        ("scan 0043.pdf", "STRATEGIC ALLIANCE AGREEMENT between Zephyr Data LLC and Fazync LLC", LONG, CLAUSES),
        ("nda.pdf", "NON-DISCLOSURE AGREEMENT between the University of Borograd and the Recipient", LONG, CLAUSES),
        ("orchid nda.pdf", "NON-DISCLOSURE AGREEMENT", LONG, CLAUSES),
        ("183.pdf", "SUPPLY AGREEMENT of Brooks Bottling and Client", LONG, CLAUSES),
        ("Rent_roll-2023.pdf", "Rents by the month", LONG, CLAUSES),
        ("Principal.pdf", "INSURANCE POLICY of Principal Mutual", LONG, CLAUSES),
        ("note.txt", "Discharge note of the cardiology ward: warfarin, INR 2.5", SHORT, ""),
        ("services.pdf", "SERVICES AGREEMENT with a licence of Corvid Software", LONG, CLAUSES),
        ("L1.pdf", "LEASE of Mill Lane to Quintus", LONG, CLAUSES),
        ("L2.pdf", "LEASE of Harbour House to Rosamund", LONG, CLAUSES),
        ("L3.pdf", "LEASE of Station Yard to Tiberius", LONG, CLAUSES),
        ("L4.pdf", "LEASE of Old Brewery to Ulrike", LONG, CLAUSES),
    ])
}

/// The numbers of the documents that are named, and what is asked of them.
fn ask(shelf: &Identities, question: &str) -> (Vec<u128>, String) {
    let scope = Scope::new([CollectionId(Uuid::nil())]).expect("one collection");
    match named(shelf, question, &scope, None) {
        None => (Vec::new(), question.to_owned()),
        Some(named) => (named.documents.iter().map(|id| id.0.as_u128()).collect(), named.question),
    }
}

fn check(question: &str, documents: &[u128], rest: &str) {
    assert_eq!(ask(&contracts(), question), (documents.to_vec(), rest.to_owned()), "{question}");
}

#[test]
fn a_document_is_named_by_party_kind_or_file_in_any_wording() {
    check("When does the Acme lease expire?", &[0], "When does the lease expire?");
    check("when does the acme holdings lease expire", &[0], "when does the expire");
    check("In the lease with Bolt Ltd, who pays for repairs?", &[0], "who pays for repairs?");
    check("Who pays for repairs under the Bolt lease?", &[0], "Who pays for repairs under the lease?");
    check(
        "Regarding the strategic alliance agreement of Zephyr Data LLC and Fazync LLC: may it be assigned?",
        &[2],
        "may it be assigned?",
    );
    check("May Fazync assign its rights?", &[2], "May assign its rights?");
    check(
        "Is there a cap on liability in our contract with Corvid?",
        &[9],
        "Is there a cap on liability in our contract with?",
    );
}

#[test]
fn a_file_name_is_decisive_with_any_separators() {
    check("What notice does 183.pdf require?", &[5], "What notice does require?");
    check("In \"rent roll 2023.PDF\": which rents fell?", &[6], "which rents fell?");
    check("In rent-roll-2023: which rents fell?", &[6], "which rents fell?");
    check("rent-roll-2023 - which rents fell?", &[6], "which rents fell?");
    check("According to acme holdings inc 20180417 ex 10.1 lease, who insures?", &[0], "who insures?");
    // Without its extension it may be what is asked for.
    check("Who signs the rent roll 2023?", &[6], "Who signs the rent roll 2023?");
    check("Is a breach defined in orchid nda.pdf?", &[4], "Is a breach defined in?");
    check("Is a breach defined in nda.pdf?", &[3], "Is a breach defined in?");
    check("What is in 183.pdf?", &[5], "What is in 183.pdf?");
}

#[test]
fn what_leads_to_a_name_goes_with_it() {
    for lead in ["In the document \"183.pdf\": ", "According to 183.pdf, ", "Under the attached file 183.pdf; "] {
        check(&format!("{lead}Does the client pay fees?"), &[5], "Does the client pay fees?");
    }
    check("Under section 5 of \"183.pdf\": does the client pay?", &[5], "Under section 5 of: does the client pay?");
    check("In clause 7 of the attached file 183.pdf, who pays?", &[5], "In clause 7 of the attached file, who pays?");
    check("According to Corvid's document, who pays?", &[9], "who pays?");
    check("Who pays fees? According to 183.pdf, when are they due?", &[5], "Who pays fees? when are they due?");
    check(
        "Who is entitled under 183.pdf, and when are payments due?",
        &[5],
        "Who is entitled under, and when are payments due?",
    );
    check("When are fees due, according to 183.pdf?", &[5], "When are fees due?");
    check("Does the document 183.pdf allow fees?", &[5], "Does the document allow fees?");
}

#[test]
fn a_question_may_name_several_files() {
    check("Do 183.pdf and orchid nda.pdf allow fees?", &[4, 5], "Do allow fees?");
    check("Do orchid nda.pdf and nda.pdf allow fees?", &[4, 3], "Do allow fees?");
}

#[test]
fn nothing_else_is_meant_unless_it_is_named_too() {
    let scope = Scope::new([CollectionId(Uuid::nil())]).expect("one collection");
    let is_sure = |question| named(&contracts(), question, &scope, None).expect("names a document").is_sure;
    assert!(is_sure("What notice does 183.pdf require?"));
    assert!(is_sure("What notice does 183.pdf require of Brooks Bottling?"));
    assert!(is_sure("Who insures under AcmeHoldingsInc_20180417_EX-10.1_Lease.pdf?"));
    assert!(!is_sure("Who signs the rent roll 2023?"));
    assert!(!is_sure("Does 183.pdf require more notice than the Acme lease?"));
    assert!(is_sure("Is there a cap in the Acme Holdings lease with Bolt of EX-10.1?"));
    assert!(!is_sure("Is the cap in the Acme Holdings lease with Bolt of EX-10.1 higher than Fazync's?"));
}

#[test]
fn questions_that_name_nothing_are_left_alone() {
    for question in [
        "What is the notice period to terminate?",
        "What are the insurance requirements?",
        "Which agreements may be assigned?",
        "Who pays 30 days after the 15th?",
        "?!",
    ] {
        check(question, &[], question);
    }
}

#[test]
fn a_short_text_is_found_by_what_it_says() {
    check("Is the INR checked on warfarin?", &[], "Is the INR checked on warfarin?");
}

#[test]
fn names_of_several_documents_keep_them_all() {
    check("What does Zephyr Data pay?", &[1, 2], "What does pay?");
    check("Zephyr Data", &[1, 2], "Zephyr Data");
    let leases: Vec<_> = (0..40).map(|unit| format!("Lease unit {unit:03} Acme.pdf")).collect();
    let mut documents: Vec<Shelved> =
        leases.iter().map(|file| (file.as_str(), "LEASE between Acme Inc and a tenant", LONG, CLAUSES)).collect();
    documents.extend((0..400).map(|_| ("scan.pdf", "DEED", LONG, CLAUSES)));
    let shelf = shelf(&documents);
    assert_eq!(ask(&shelf, "Who repairs the roof in the Acme leases?").0.len(), 40);
    assert_eq!(ask(&shelf, "Who repairs the roof in the Acme lease of unit 017?").0, [17]);
}

#[test]
fn files_of_one_name_are_told_apart_by_their_folders() {
    let shelf = shelf(&[
        ("clients/acme/lease.pdf", "LEASE of Acme", LONG, CLAUSES),
        ("clients/bolt/lease.pdf", "LEASE of Bolt", LONG, CLAUSES),
        ("lease.pdf", "LEASE of Corvid", LONG, CLAUSES),
    ]);
    let ask = |question| ask(&shelf, question);
    assert_eq!(ask("What rent does acme/lease.pdf state?"), (vec![0], "What rent does state?".to_owned()));
    assert_eq!(ask("What rent does lease.pdf state?"), (vec![0, 1, 2], "What rent does state?".to_owned()));
}

#[test]
fn among_few_files_a_word_of_what_is_asked_names_none_for_sure() {
    let shelf = shelf(&[
        ("lease.pdf", "LEASE between Landlord and Tenant; security deposit", LONG, CLAUSES),
        ("visit.pdf", "Note of the cardiology ward", LONG, CLAUSES),
    ]);
    let question = "Does the tenant pay a security deposit in advance?";
    let scope = Scope::new([CollectionId(Uuid::nil())]).expect("one collection");
    let named = named(&shelf, question, &scope, None).expect("it may be the lease");
    assert_eq!((named.question.as_str(), named.is_sure), (question, false));
}

#[test]
fn a_wall_hides_names_and_their_rarity() {
    let shelf = contracts();
    let other = Scope::new([CollectionId(Uuid::max())]).expect("one collection");
    assert_eq!(named(&shelf, "When does the Acme lease expire?", &other, None), None);
    assert_eq!(named(&shelf, "What does 183.pdf say of fees?", &other, None), None);
}

#[test]
fn chosen_files_keep_the_search_to_themselves() {
    let scope = Scope::new([CollectionId(Uuid::nil())]).expect("one collection");
    let chosen = [DocumentId(Uuid::from_u128(1))];
    let within =
        |question| named(&contracts(), question, &scope, Some(&chosen)).map(|named| (named.documents, named.question));
    let found = within("What does Zephyr Data owe?");
    assert_eq!(found, Some((chosen.to_vec(), "What does owe?".to_owned())));
    assert_eq!(within("When does the Acme lease expire?"), None);
}

#[test]
fn any_question_can_be_read() {
    let mut question = String::new();
    for c in ['é', ';', '\u{301}', '(', '.', ' ', '日', '-', 'Q'] {
        write!(question, "{c}Acme{c}").expect("a string takes it");
        ask(&contracts(), &question);
    }
}
