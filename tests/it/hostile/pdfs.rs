//! PDF files that loop, nest, lie about sizes, or never end.

use lopdf::{Dictionary, Stream};

use super::Hostile;

pub(super) fn all() -> Vec<Hostile> {
    [structure(), streams(), contents(), fonts(), xrefs(), trees(), fragments()].concat()
}

fn named(name: &str, bytes: Vec<u8>) -> Hostile {
    (format!("{name}.pdf"), bytes)
}

/// A file of these objects, numbered from 1, the first being the catalog.
fn pdf(objects: &[String]) -> Vec<u8> {
    let objects: Vec<Vec<u8>> = objects.iter().map(|object| object.clone().into_bytes()).collect();
    raw_pdf(&objects, "/Root 1 0 R")
}

fn raw_pdf(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let mut file = b"%PDF-1.7\n".to_vec();
    let mut offsets = Vec::new();
    for (number, object) in (1..).zip(objects) {
        offsets.push(file.len());
        file.extend(format!("{number} 0 obj\n").bytes());
        file.extend(object);
        file.extend(b"\nendobj\n");
    }
    let xref = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    for offset in offsets {
        file.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    file.extend(format!("trailer\n<</Size {}{trailer}>>\nstartxref\n{xref}\n%%EOF\n", objects.len() + 1).bytes());
    file
}

fn stream(entries: &str, content: &str) -> String {
    format!("<<{entries}/Length {}>>stream\n{content}\nendstream", content.len())
}

const CATALOG: &str = "<</Type/Catalog/Pages 2 0 R>>";
const PAGES: &str = "<</Type/Pages/Kids[3 0 R]/Count 1>>";
const FONT: &str = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>";

/// One page with this content, resources and further objects from number 6.
fn page(content: &str, resources: &str, more: &[String]) -> Vec<u8> {
    let page = format!(
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>{resources}>>>>"
    );
    let objects = [CATALOG, PAGES, &page, &stream("", content), FONT].map(str::to_owned);
    pdf(&[objects.to_vec(), more.to_vec()].concat())
}

fn of_objects(name: &str, objects: &[&str]) -> Hostile {
    named(name, pdf(&objects.iter().map(|&object| object.to_owned()).collect::<Vec<_>>()))
}

fn structure() -> Vec<Hostile> {
    let deep_tree: Vec<String> = std::iter::once(CATALOG.to_owned())
        .chain((0..20_000).map(|at| format!("<</Type/Pages/Kids[{} 0 R]/Count 1>>", at + 3)))
        .chain(std::iter::once("<</Type/Page/MediaBox[0 0 9 9]>>".to_owned()))
        .collect();
    let many_pages: Vec<String> = [CATALOG.to_owned(), {
        let kids: String = (0..10_001).map(|at| format!("{} 0 R ", at + 3)).collect();
        format!("<</Type/Pages/Kids[{kids}]/Count 10001>>")
    }]
    .into_iter()
    .chain((0..10_001).map(|_| "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>".to_owned()))
    .collect();
    vec![
        of_objects("pages-in-a-circle", &[CATALOG, "<</Type/Pages/Kids[2 0 R]/Count 1>>"]),
        of_objects(
            "pages-in-a-long-circle",
            &[CATALOG, "<</Type/Pages/Kids[3 0 R 3 0 R]/Count 2>>", "<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"],
        ),
        of_objects(
            "parents-in-a-circle",
            &[
                CATALOG,
                "<</Type/Pages/Parent 3 0 R/Kids[3 0 R]/Count 1>>",
                "<</Type/Page/Parent 2 0 R/Contents 3 0 R>>",
            ],
        ),
        of_objects("page-is-its-own-parent", &[CATALOG, PAGES, "<</Type/Page/Parent 3 0 R>>"]),
        of_objects("count-lies", &[CATALOG, "<</Type/Pages/Kids[]/Count 2147483647>>"]),
        of_objects("count-is-negative", &[CATALOG, "<</Type/Pages/Kids[9 0 R]/Count -5>>"]),
        of_objects("everything-is-null", &["null", "null", "null"]),
        of_objects("catalog-refers-to-itself", &["1 0 R"]),
        of_objects("references-in-a-circle", &[CATALOG, "3 0 R", "4 0 R", "2 0 R"]),
        of_objects("kids-is-a-string", &[CATALOG, "<</Type/Pages/Kids(none)/Count 1>>"]),
        named("deep-page-tree", pdf(&deep_tree)),
        named("too-many-pages", pdf(&many_pages)),
        named("deep-arrays", page("", &format!("/X {}{}", "[".repeat(100_000), "]".repeat(100_000)), &[])),
        named("deep-dictionaries", page("", &format!("/X {}{}", "<</A ".repeat(100_000), ">>".repeat(100_000)), &[])),
        named("arrays-without-end", page("", &format!("/X {}", "[".repeat(1_000_000)), &[])),
        named("deep-strings", page("", &format!("/X {}", "(".repeat(1_000_000)), &[])),
        named("huge-numbers", page("", "/X [99999999999999999999999 -99999999999999999999 1e999 .....5 --1]", &[])),
        named("name-of-a-megabyte", page("", &format!("/{} 1", "a#00".repeat(250_000)), &[])),
    ]
}

fn streams() -> Vec<Hostile> {
    let mut bomb = Stream::new(Dictionary::new(), vec![b' '; 200 << 20]);
    bomb.compress().expect("it can be packed");
    let packed = |filters: &str, content: &[u8]| {
        let mut object = format!("<<{filters}/Length {}>>stream\n", content.len()).into_bytes();
        object.extend(content);
        object.extend(b"\nendstream");
        let page = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R>>";
        raw_pdf(&[CATALOG.into(), PAGES.into(), page.into(), object], "/Root 1 0 R")
    };
    let mut twice = Stream::new(Dictionary::new(), bomb.content.clone());
    twice.compress().expect("it can be packed");
    let many = |filter: &str| format!("/Filter[{}]", filter.repeat(200));
    let columns = "/Filter/FlateDecode/DecodeParms<</Predictor 15/Columns 2147483647/Colors 32/BitsPerComponent 16>>";
    vec![
        named("unpacks-to-much", packed("/Filter/FlateDecode", &bomb.content)),
        named("unpacks-twice-to-much", packed("/Filter[/FlateDecode/FlateDecode]", &twice.content)),
        named("two-hundred-filters", packed(&many("/FlateDecode"), &bomb.content[..1000])),
        named("two-hundred-hex-filters", packed(&many("/ASCIIHexDecode"), &b"30".repeat(100_000))),
        named("packed-nonsense", packed("/Filter/FlateDecode", &[0xff; 10_000])),
        named("lzw-nonsense", packed("/Filter/LZWDecode", &[0x80, 0x0b, 0x60, 0xff, 0xff, 0xff].repeat(10_000))),
        named("ascii85-nonsense", packed("/Filter/ASCII85Decode", &b"zzzzzzzz".repeat(100_000))),
        named("run-length-bomb", packed("/Filter/RunLengthDecode", &[129, b' '].repeat(2_000_000))),
        named("unknown-filter", packed("/Filter/NoSuchDecode", b"text")),
        named("filter-refers-to-its-stream", packed("/Filter 4 0 R/DecodeParms 4 0 R", b"text")),
        named("predictor-of-huge-rows", packed(columns, &bomb.content[..1000])),
        of_objects(
            "length-in-a-circle",
            &[CATALOG, PAGES, "<</Type/Page/Contents 4 0 R>>", "<</Length 4 0 R>>stream\nq\nendstream"],
        ),
        of_objects(
            "length-is-negative",
            &[CATALOG, PAGES, "<</Type/Page/Contents 4 0 R>>", "<</Length -9>>stream\nq\nendstream"],
        ),
        of_objects(
            "length-is-huge",
            &[CATALOG, PAGES, "<</Type/Page/Contents 4 0 R>>", "<</Length 9223372036854775807>>stream\nq\nendstream"],
        ),
        of_objects(
            "stream-without-end",
            &[CATALOG, PAGES, "<</Type/Page/Contents 4 0 R>>", "<</Length 5>>stream\nBT (x"],
        ),
        of_objects(
            "contents-hold-themselves",
            &[CATALOG, PAGES, "<</Type/Page/Contents 4 0 R>>", "[4 0 R 4 0 R 4 0 R]"],
        ),
    ]
}

fn contents() -> Vec<Hostile> {
    let form = |content: &str, forms: &str| {
        stream(&format!("/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<<{forms}>>>>"), content)
    };
    let laughs: Vec<String> = (0..12)
        .map(|at| form(&"/X Do ".repeat(10), &format!("/X {} 0 R", at + 7)))
        .chain(std::iter::once(form("0 0 m 9 9 l S", "")))
        .collect();
    vec![
        named("form-draws-itself", page("/X Do", "/XObject<</X 6 0 R>>", &[form("/X Do /X Do", "/X 6 0 R")])),
        named(
            "forms-draw-each-other",
            page("/X Do", "/XObject<</X 6 0 R>>", &[form("/X Do", "/X 7 0 R"), form("/X Do /X Do", "/X 6 0 R")]),
        ),
        named("a-billion-forms", page("/X Do", "/XObject<</X 6 0 R>>", &laughs)),
        named("endless-operators", page(&"0 0 m 9 9 l S ".repeat(2_000_000), "", &[])),
        named("endless-text", page(&format!("BT /F1 9 Tf {} ET", "(word ) Tj ".repeat(20_000)), "", &[])),
        named("endless-saves", page(&"q ".repeat(3_000_000), "", &[])),
        named("endless-restores", page(&"Q ".repeat(3_000_000), "", &[])),
        named("endless-marks", page(&"/P <</MCID 0>> BDC ".repeat(500_000), "", &[])),
        named("operands-without-operator", page(&"1 ".repeat(5_000_000), "", &[])),
        named("deep-array-in-content", page(&format!("BT {} TJ ET", "[".repeat(500_000)), "", &[])),
        named("deep-dictionary-in-content", page(&"/P <</A ".repeat(200_000), "", &[])),
        named("string-without-end", page(&format!("BT /F1 9 Tf ({}", "a(".repeat(500_000)), "", &[])),
        named("hex-without-end", page(&format!("BT /F1 9 Tf <{}", "41".repeat(1_000_000)), "", &[])),
        named("inline-image-without-end", page("BI /W 9999999 /H 9999999 /BPC 8 ID aaaa", "", &[])),
        named("inline-images-by-the-thousand", page(&"BI /W 1 /H 1 ID x EI ".repeat(100_000), "", &[])),
        named(
            "matrix-of-infinities",
            page("1e38 1e38 1e38 1e38 1e38 1e38 cm 1e38 0 0 1e38 0 0 cm BT /F1 1e38 Tf (x) Tj ET", "", &[]),
        ),
        named("text-of-no-size", page("BT /F1 0 Tf 0 0 0 0 0 0 Tm 0 Tz (words without size) Tj ET", "", &[])),
        named("text-far-away", page("BT /F1 12 Tf 1e30 -1e30 Td (far) Tj 1e30 1e30 Td (farther) Tj ET", "", &[])),
        named("negative-spaces", page("BT /F1 12 Tf -99999 Tc -99999 Tw -1000000 Tz (back and forth) Tj ET", "", &[])),
        named("nul-bytes", page(&"\0".repeat(1_000_000), "", &[])),
    ]
}

fn fonts() -> Vec<Hostile> {
    let font = |entries: &str| format!("<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H{entries}>>");
    let shown = "BT /F2 12 Tf 72 700 Td <00410042ffff> Tj ET";
    let with = |name: &str, entries: &str, more: &[String]| {
        let objects = [vec![font(entries)], more.to_vec()].concat();
        named(name, page(shown, ">>/Font<</F2 6 0 R", &objects))
    };
    let ranges = "beginbfrange <0000> <ffffffff> <0041> endbfrange ".repeat(1000);
    let long = format!("beginbfchar <41> <{}> endbfchar", "0041".repeat(500_000));
    vec![
        with("unicode-range-of-everything", "/ToUnicode 7 0 R", &[stream("", &ranges)]),
        with("unicode-of-a-megabyte", "/ToUnicode 7 0 R", &[stream("", &long)]),
        with("unicode-table-is-its-font", "/ToUnicode 6 0 R", &[]),
        with("descendant-is-its-own", "/DescendantFonts[6 0 R]", &[]),
        with("width-range-of-everything", "/DescendantFonts[7 0 R]", &["<</Type/Font/Subtype/CIDFontType2/W[0 4294967295 500 0 2147483647 9]>>".to_owned()]),
        with("widths-refer-to-themselves", "/DescendantFonts[7 0 R]", &["<</Type/Font/Subtype/CIDFontType2/W 8 0 R>>".to_owned(), "[0 8 0 R 1 8 0 R]".to_owned()]),
        with("font-file-of-nonsense", "/DescendantFonts[7 0 R]", &["<</Subtype/CIDFontType2/FontDescriptor<</FontFile2 8 0 R>>>>".to_owned(), stream("", "\0\u{1}\0\0\u{7f}\u{7f}nonsense")]),
        named("differences-without-end", page("BT /F3 9 Tf (AB) Tj ET", ">>/Font<</F3 6 0 R", &[format!("<</Type/Font/Subtype/Type1/Encoding<</Differences[{}]>>/FirstChar -2147483648/LastChar 2147483647/Widths[{}]>>", "255/a ".repeat(200_000), "1e30 ".repeat(100_000))])),
        named("type3-draws-itself", page("BT /F3 9 Tf (AAAA) Tj ET", ">>/Font<</F3 6 0 R", &["<</Type/Font/Subtype/Type3/FontMatrix[0 0 0 0 0 0]/CharProcs<</a 7 0 R>>/Encoding<</Differences[65/a]>>/Resources<</Font<</F3 6 0 R>>>>>>".to_owned(), stream("", "BT /F3 9 Tf (AAAA) Tj ET")])),
    ]
}

fn xrefs() -> Vec<Hostile> {
    let good = page("BT /F1 12 Tf 72 700 Td (A line of text) Tj ET", "", &[]);
    let text = String::from_utf8(good.clone()).expect("it is ASCII");
    let start = text.rfind("xref\n0").expect("it has a table");
    let changed = |name: &str, from: &str, to: &str| named(name, text.replace(from, to).into_bytes());
    let with_table = |name: &str, table: &str| named(name, [&text[..start], table].concat().into_bytes());
    let object_stream = |name: &str, entries: &str, content: &str| {
        let objects = [
            CATALOG.to_owned(),
            PAGES.to_owned(),
            "<</Type/Page>>".to_owned(),
            stream(&format!("/Type/ObjStm{entries}"), content),
        ];
        named(name, pdf(&objects))
    };
    vec![
        with_table("no-table", ""),
        with_table(
            "table-of-billions",
            "xref\n0 4294967295\n0000000000 65535 f \ntrailer\n<</Size 4294967295/Root 1 0 R>>\nstartxref\n0\n%%EOF",
        ),
        with_table(
            "table-of-nonsense",
            &format!("xref\n{}\ntrailer\n<</Root 1 0 R>>\nstartxref\n{start}\n%%EOF", "z 1 2 n f ".repeat(100_000)),
        ),
        with_table(
            "tables-in-a-circle",
            &format!(
                "xref\n0 1\n0000000000 65535 f \ntrailer\n<</Size 9/Root 1 0 R/Prev {start}>>\nstartxref\n{start}\n%%EOF"
            ),
        ),
        with_table("table-starts-far-away", "startxref\n99999999999999999999\n%%EOF"),
        with_table("table-starts-before-the-file", "startxref\n-5\n%%EOF"),
        with_table(
            "table-stream-of-wide-columns",
            &format!(
                "9 0 obj\n{}\nendobj\nstartxref\n{start}\n%%EOF",
                stream("/Type/XRef/W[8 8 8]/Index[0 2147483647]/Size 2147483647/Root 1 0 R", "nonsense")
            ),
        ),
        with_table(
            "table-stream-of-no-columns",
            &format!(
                "9 0 obj\n{}\nendobj\nstartxref\n{start}\n%%EOF",
                stream("/Type/XRef/W[0 0 0]/Size 2147483647/Root 1 0 R", "x")
            ),
        ),
        changed("every-offset-wrong", "00000 n", "00007 n"),
        changed("root-is-missing", "/Root 1 0 R", ""),
        changed("root-is-a-page", "/Root 1 0 R", "/Root 3 0 R"),
        changed("size-is-negative", "/Size 6", "/Size -6"),
        changed("objects-of-huge-numbers", "4 0 obj", "4294967295 65535 obj"),
        changed("objects-all-the-same", " 0 obj", "1 0 obj"),
        changed(
            "locked-with-nonsense",
            "/Root 1 0 R",
            "/Root 1 0 R/Encrypt<</Filter/Standard/V 5/R 6/O(x)/U(x)/P -1/Length 99999>>/ID[(a)(b)]",
        ),
        changed("locked-in-an-unknown-way", "/Root 1 0 R", "/Root 1 0 R/Encrypt<</Filter/Nobody/V 99/R 99>>"),
        changed("locked-with-itself", "/Root 1 0 R", "/Root 1 0 R/Encrypt 4 0 R"),
        object_stream("object-stream-holds-itself", "/N 1/First 4/Extends 4 0 R", "4 0 <</A 4 0 R>>"),
        object_stream("object-stream-of-billions", "/N 2147483647/First 4", "4 0 null"),
        object_stream("object-stream-starts-behind-its-end", "/N 9/First 99999999", "4 0 null"),
    ]
}

fn trees() -> Vec<Hostile> {
    let catalog = |name: &str, entries: &str, more: &[&str]| {
        let root = format!("<</Type/Catalog/Pages 2 0 R{entries}>>");
        let page = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Annots[5 0 R 5 0 R]/Contents 4 0 R>>";
        let mut objects = vec![root, PAGES.to_owned(), page.to_owned(), stream("", "q Q")];
        objects.extend(more.iter().map(|&object| object.to_owned()));
        named(name, pdf(&objects))
    };
    vec![
        catalog("labels-in-a-circle", "/PageLabels 5 0 R", &["<</Kids[5 0 R 5 0 R]>>"]),
        catalog(
            "labels-of-huge-numbers",
            "/PageLabels<</Nums[-5<</S/r/St 4294967295>>0<</S/R/St 2147483647>>1<</S/a/St 2000000000>>]>>",
            &["null"],
        ),
        catalog(
            "outline-in-a-circle",
            "/Outlines 5 0 R",
            &["<</First 5 0 R/Next 5 0 R/Last 5 0 R/Parent 5 0 R/Title(a)>>"],
        ),
        catalog(
            "fields-in-a-circle",
            "/AcroForm<</Fields[5 0 R]>>",
            &["<</Kids[5 0 R]/Parent 5 0 R/FT/Tx/T(a)/V(b)/Subtype/Widget>>"],
        ),
        catalog("names-in-a-circle", "/Names<</Dests 5 0 R>>", &["<</Kids[5 0 R]/Limits[(a)(b)]>>"]),
        catalog(
            "structure-in-a-circle",
            "/StructTreeRoot 5 0 R",
            &["<</K[5 0 R 5 0 R]/P 5 0 R/ParentTree 5 0 R/Kids[5 0 R]>>"],
        ),
    ]
}

fn fragments() -> Vec<Hostile> {
    let good = super::pdf(&super::LEASE);
    vec![
        named("only-a-header", b"%PDF-1.7\n".to_vec()),
        named("header-and-nothing", [b"%PDF-1.7\n".as_slice(), &vec![0; 5_000_000]].concat()),
        named("half-a-file", good[..good.len() / 2].to_vec()),
        named("file-without-its-start", good[200..].to_vec()),
        named("two-files-in-one", [good.as_slice(), &good].concat()),
        named("text-named-pdf", b"This is no PDF.".to_vec()),
        named("empty", Vec::new()),
        named(
            "every-third-byte-lost",
            good.iter().enumerate().filter(|(at, _)| at % 3 != 0).map(|(_, &byte)| byte).collect(),
        ),
    ]
}
