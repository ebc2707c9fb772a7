//! What the activities compute. Plain functions of plain data.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::records::{Dataset, Record};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransformedDataset {
    pub name: String,
    pub records: Vec<TransformedRecord>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransformedRecord {
    #[serde(flatten)]
    pub record: Record,
    pub doubled_value: f64,
    pub category: Category,
    pub word_count: usize,
    pub average_word_length: f64,
    pub sentiment: Sentiment,
    pub score: f64,
}

/// Whether a value is over the mean of its dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    High,
    Low,
}

/// Whether a text has more words of praise or of complaint, by two short lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sentiment {
    Positive,
    Neutral,
    Negative,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    pub dataset: String,
    pub records: usize,
    pub value: Statistics,
    pub high: usize,
    pub low: usize,
    pub words: Statistics,
    pub word_length: Statistics,
    pub positive: usize,
    pub neutral: usize,
    pub negative: usize,
    pub score: Statistics,
    pub tags: Vec<(String, usize)>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Statistics {
    pub min: f64,
    pub max: f64,
    pub average: f64,
    pub total: f64,
}

pub fn transform(dataset: Dataset) -> TransformedDataset {
    let mean = Statistics::of(dataset.records.iter().map(|record| record.value)).average;
    let records = dataset.records.into_iter().map(|record| transform_record(record, mean)).collect();
    TransformedDataset { name: dataset.name, records }
}

fn transform_record(record: Record, mean: f64) -> TransformedRecord {
    let words: Vec<_> =
        record.text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let letters: usize = words.iter().map(|word| word.chars().count()).sum();
    let average_word_length = letters as f64 / words.len().max(1) as f64;
    let sentiment = sentiment(&words);
    let mood = match sentiment {
        Sentiment::Positive => 1.25,
        Sentiment::Neutral => 1.0,
        Sentiment::Negative => 0.75,
    };
    TransformedRecord {
        doubled_value: rounded(record.value * 2.0),
        category: if record.value > mean { Category::High } else { Category::Low },
        word_count: words.len(),
        average_word_length: rounded(average_word_length),
        sentiment,
        score: rounded((record.value / 10.0 + words.len() as f64) * mood),
        record,
    }
}

/// To three decimals, which survive a round trip through JSON.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn sentiment(words: &[&str]) -> Sentiment {
    const PRAISE: [&str; 12] = [
        "good",
        "great",
        "excellent",
        "reliable",
        "fast",
        "happy",
        "love",
        "best",
        "better",
        "value",
        "perfect",
        "well",
    ];
    const COMPLAINT: [&str; 12] = [
        "bad",
        "poor",
        "slow",
        "broken",
        "terrible",
        "disappointment",
        "confusing",
        "hate",
        "worst",
        "worse",
        "fail",
        "wrong",
    ];
    static LISTS: LazyLock<(HashSet<&str>, HashSet<&str>)> =
        LazyLock::new(|| (PRAISE.into_iter().collect(), COMPLAINT.into_iter().collect()));
    let (praise, complaint) = &*LISTS;
    let balance = words.iter().fold(0i64, |balance, word| {
        let word = word.to_lowercase();
        balance + i64::from(praise.contains(word.as_str())) - i64::from(complaint.contains(word.as_str()))
    });
    match balance {
        0 => Sentiment::Neutral,
        1.. => Sentiment::Positive,
        _ => Sentiment::Negative,
    }
}

pub fn summarize(dataset: &TransformedDataset) -> Summary {
    let records = &dataset.records;
    let count = |matches: &dyn Fn(&TransformedRecord) -> bool| records.iter().filter(|r| matches(r)).count();
    let mut tags: BTreeMap<&str, usize> = BTreeMap::new();
    for tag in records.iter().flat_map(|record| &record.record.metadata.tags) {
        *tags.entry(tag).or_default() += 1;
    }
    let mut tags: Vec<_> = tags.into_iter().map(|(tag, count)| (tag.to_owned(), count)).collect();
    tags.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    tags.truncate(5);
    Summary {
        dataset: dataset.name.clone(),
        records: records.len(),
        value: Statistics::of(records.iter().map(|record| record.record.value)),
        high: count(&|record| record.category == Category::High),
        low: count(&|record| record.category == Category::Low),
        words: Statistics::of(records.iter().map(|record| record.word_count as f64)),
        word_length: Statistics::of(records.iter().map(|record| record.average_word_length)),
        positive: count(&|record| record.sentiment == Sentiment::Positive),
        neutral: count(&|record| record.sentiment == Sentiment::Neutral),
        negative: count(&|record| record.sentiment == Sentiment::Negative),
        score: Statistics::of(records.iter().map(|record| record.score)),
        tags,
    }
}

impl Statistics {
    /// All zero for no values at all.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<_> = values.collect();
        if values.is_empty() {
            return Self::default();
        }
        let total: f64 = values.iter().sum();
        Self {
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            average: total / values.len() as f64,
            total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Metadata;

    fn record(value: f64, text: &str) -> Record {
        let metadata = Metadata { source: "test".into(), tags: vec!["t".into()] };
        Record { id: "r".into(), value, text: text.into(), metadata }
    }

    #[test]
    fn a_record_is_doubled_judged_and_scored() {
        let records = vec![record(10.0, "Good, fast. But slow!"), record(30.0, "broken")];
        let out = transform(Dataset { name: "d".into(), records }).records;
        assert_eq!(
            (out[0].doubled_value, out[0].category, out[0].sentiment),
            (20.0, Category::Low, Sentiment::Positive)
        );
        assert_eq!((out[0].word_count, out[0].average_word_length, out[0].score), (4, 3.75, 6.25));
        assert_eq!(
            (out[1].doubled_value, out[1].category, out[1].sentiment),
            (60.0, Category::High, Sentiment::Negative)
        );
    }

    #[test]
    fn a_summary_counts_and_averages() {
        let records = vec![record(1.0, "good"), record(3.0, "plain words"), record(5.0, "")];
        let summary = summarize(&transform(Dataset { name: "d".into(), records }));
        assert_eq!((summary.records, summary.high, summary.low), (3, 1, 2));
        assert_eq!((summary.value.min, summary.value.average, summary.value.max), (1.0, 3.0, 5.0));
        assert_eq!(
            (summary.words.total, summary.positive, summary.neutral, summary.negative),
            (3.0, 1, 2, 0)
        );
        assert_eq!(summary.tags, [("t".to_owned(), 3)]);
    }

    #[test]
    fn nothing_gives_zeros() {
        let summary = summarize(&transform(Dataset { name: "d".into(), records: vec![] }));
        assert_eq!((summary.records, summary.value.min, summary.score.average), (0, 0.0, 0.0));
    }
}
