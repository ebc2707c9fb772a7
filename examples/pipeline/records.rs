//! The dataset: records, where they come from, and how a file is read.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dataset {
    pub name: String,
    pub records: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    pub value: f64,
    pub text: String,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    pub source: String,
    pub tags: Vec<String>,
}

/// Customer feedback, made up but the same every time.
pub fn generate(count: usize) -> Dataset {
    const OPENINGS: [&str; 6] = [
        "The delivery arrived on time and the packaging was",
        "Our team has used this for a month and found it",
        "After the last update the application became",
        "I called the support line twice and the answer was",
        "Compared with what we had before, the quality is",
        "The invoice, the manual and the spare parts were",
    ];
    const VERDICTS: [&str; 9] = [
        "excellent",
        "reliable and fast",
        "good value",
        "as described",
        "about what we expected",
        "neither here nor there",
        "slow and confusing",
        "broken on arrival",
        "a terrible disappointment",
    ];
    const CLOSINGS: [&str; 5] = [
        "We would order it again without thinking twice.",
        "Please forward this to the department in charge.",
        "A colleague in another office reports the same.",
        "There is room for improvement in the documentation.",
        "The second unit is still in its box, for comparison.",
    ];
    const TAGS: [&str; 7] = ["shipping", "billing", "quality", "support", "software", "hardware", "returns"];
    let record = |n: usize| {
        let pick = |of: usize, salt: usize| (n * 7919 + salt * 104_729 + n / 13) % of;
        let sentences = (0..2 + pick(4, 1)).map(|s| {
            let (opening, verdict) = (OPENINGS[pick(6, s + 2)], VERDICTS[pick(9, s + 3)]);
            format!("{opening} {verdict}. {}", CLOSINGS[pick(5, s + 4)])
        });
        let (first, second) = (TAGS[pick(7, 5)], TAGS[pick(7, 6)]);
        let mut tags = vec![first.to_owned(), second.to_owned()];
        tags.dedup();
        Record {
            id: format!("record-{n:06}"),
            value: (pick(100_000, 7) as f64) / 100.0,
            text: sentences.collect::<Vec<_>>().join(" "),
            metadata: Metadata { source: format!("survey-{}", pick(12, 8)), tags },
        }
    };
    Dataset { name: format!("{count} generated records"), records: (0..count).map(record).collect() }
}

/// Reads JSON lines (`.jsonl`, `.ndjson`), CSV with a header (`.csv`), or plain text with a record on each line.
///
/// # Errors
///
/// With the number of the line that cannot be read.
pub fn read(path: &Path) -> Result<Dataset, Error> {
    let bytes = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let content = String::from_utf8_lossy(&bytes);
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let records = match extension.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" => each_line(&content, from_json)?,
        "csv" => from_csv(&content)?,
        _ => each_line(&content, |number, line| Ok(plain(number, line)))?,
    };
    if records.is_empty() {
        return Err(format!("{} has no records", path.display()).into());
    }
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(Dataset { name, records })
}

fn each_line(
    content: &str,
    read: impl Fn(usize, &str) -> Result<Record, Error>,
) -> Result<Vec<Record>, Error> {
    let lines = content.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty()).map(|(number, line)| read(number, line)).collect()
}

fn plain(number: usize, line: &str) -> Record {
    Record {
        id: format!("line-{number}"),
        value: line.split_whitespace().count() as f64,
        text: line.to_owned(),
        metadata: Metadata { source: "text".to_owned(), tags: Vec::new() },
    }
}

/// An object with any of `id`, `value`, `text`, `metadata.source` and `metadata.tags`; without `text`, the whole
/// line is the text.
fn from_json(number: usize, line: &str) -> Result<Record, Error> {
    let object: BTreeMap<String, Value> =
        serde_json::from_str(line).map_err(|error| format!("line {number} is not a JSON object: {error}"))?;
    let mut record = plain(number, line);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(id) = object.get("id") {
        record.id = text(id);
    }
    if let Some(given) = object.get("text") {
        record.text = text(given);
        record.value = record.text.split_whitespace().count() as f64;
    }
    if let Some(value) = object.get("value") {
        record.value = value.as_f64().ok_or_else(|| format!("line {number}: \"value\" is not a number"))?;
    }
    if let Some(metadata) = object.get("metadata") {
        record.metadata.source = metadata.get("source").map_or_else(|| "json".to_owned(), text);
        let tags = metadata.get("tags").and_then(Value::as_array);
        record.metadata.tags = tags.into_iter().flatten().map(text).collect();
    }
    Ok(record)
}

/// The columns `id`, `value`, `text`, `source` and `tags` (separated by `;`) where they are there; without
/// `text`, the whole row is the text.
fn from_csv(content: &str) -> Result<Vec<Record>, Error> {
    let mut reader = csv::Reader::from_reader(content.as_bytes());
    let header = reader.headers()?.clone();
    let mut records = Vec::new();
    for row in reader.records() {
        // The csv crate's errors name the line themselves.
        let row = row?;
        let number = row.position().map_or(0, |position| usize::try_from(position.line()).unwrap_or(0));
        let column = |name: &str| header.iter().position(|column| column == name).and_then(|at| row.get(at));
        let text = column("text").map_or_else(|| row.iter().collect::<Vec<_>>().join(" "), str::to_owned);
        let mut record = plain(number, &text);
        record.id = column("id").map_or(record.id, str::to_owned);
        record.metadata.source = column("source").unwrap_or("csv").to_owned();
        record.metadata.tags =
            column("tags").into_iter().flat_map(|tags| tags.split(';')).map(str::to_owned).collect();
        if let Some(value) = column("value") {
            record.value = value.parse().map_err(|_| format!("line {number}: \"value\" is not a number"))?;
        }
        records.push(record);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(extension: &str, content: &str) -> Result<Vec<Record>, String> {
        let file = tempfile::Builder::new().suffix(extension).tempfile().unwrap();
        std::fs::write(&file, content).unwrap();
        read(file.path()).map(|dataset| dataset.records).map_err(|error| error.to_string())
    }

    #[test]
    fn json_lines_take_what_they_have() {
        let content = concat!(
            r#"{"id": 7, "value": 2.5, "text": "good and fast", "metadata": {"source": "web", "tags": ["a", "b"]}}"#,
            "\n\n",
            r#"{"other": true}"#
        );
        let records = read_as(".jsonl", content).unwrap();
        assert_eq!(records[0].id, "7");
        assert_eq!((records[0].value, records[0].text.as_str()), (2.5, "good and fast"));
        assert_eq!(
            records[0].metadata,
            Metadata { source: "web".into(), tags: vec!["a".into(), "b".into()] }
        );
        assert_eq!((records[1].id.as_str(), records[1].text.as_str()), ("line-3", r#"{"other": true}"#));
    }

    #[test]
    fn csv_quotes_may_span_lines() {
        let records =
            read_as(".csv", "id,value,text,tags\nx,2,\"one, two\nthree\",a;b\ny,3,four,\n").unwrap();
        assert_eq!((records[0].id.as_str(), records[0].text.as_str()), ("x", "one, two\nthree"));
        assert_eq!(records[0].metadata.tags, ["a", "b"]);
        assert_eq!(records[1].value, 3.0);
        let plain = read_as(".csv", "name,colour\napple,red\n").unwrap();
        assert_eq!((plain[0].text.as_str(), plain[0].value), ("apple red", 2.0));
    }

    #[test]
    fn text_is_a_record_a_line() {
        let records = read_as(".txt", "first line\n\n  second  \n").unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!((records[1].id.as_str(), records[1].text.as_str()), ("line-3", "second"));
    }

    #[test]
    fn what_cannot_be_read_names_the_line() {
        assert!(read_as(".jsonl", "{}\nnonsense").unwrap_err().starts_with("line 2 is not a JSON object"));
        assert_eq!(read_as(".jsonl", r#"{"value": "x"}"#).unwrap_err(), "line 1: \"value\" is not a number");
        assert_eq!(read_as(".csv", "value\nx\n").unwrap_err(), "line 2: \"value\" is not a number");
        assert!(read_as(".csv", "a,b\n1\n").unwrap_err().contains("line: 2"));
        assert!(read_as(".txt", "\n").unwrap_err().ends_with("has no records"));
        assert!(read(Path::new("/does/not/exist")).unwrap_err().to_string().contains("cannot be read"));
    }

    #[test]
    fn generated_records_are_the_same_every_time() {
        assert_eq!(generate(50).records, generate(50).records);
        assert_eq!(generate(0).records, []);
    }
}
