use bytes::Bytes;

use crate::{BlobKey, PutOutcome};

use super::{Bench, Outcome, ensure};

pub(super) async fn every_legal_character_makes_a_key_of_its_own(bench: &Bench<'_>) -> Outcome {
    let mut names: Vec<String> = (' '..='~').filter(|c| *c != '/').map(|c| format!("a{c}b")).collect();
    names.extend((' '..='~').filter(|c| !matches!(c, '/' | '.')).map(String::from));
    names.extend(
        [
            "é",
            "e\u{301}",
            "日本語",
            "🦀",
            "ß",
            "SS",
            "a b ",
            " a b",
            "a%20b",
            "a%2Fb",
            "a/b",
            "%2e%2e",
            "...",
            "..a",
            ".hidden",
            "CON",
            "aux.txt",
            "x.tmp",
            "a:b:c",
            "{a}:b",
            "a{b}c",
            "-rf",
            "~root",
            "$HOME",
            "`id`",
            "\u{a0}",
            "\u{200b}",
            "\u{feff}",
            "\u{fffd}",
            "\u{10ffff}",
        ]
        .map(str::to_owned),
    );
    different(bench, names.iter().map(|name| bench.key(name))).await?;
    let rooted = bench.exact_key(&format!("/{}rooted", bench.prefix));
    different(bench, [bench.key("rooted"), rooted]).await
}

pub(super) async fn long_keys_work(bench: &Bench<'_>) -> Outcome {
    let room = BlobKey::MAX_LEN - bench.prefix.len() - bench.store.location().prefix.len();
    let segments = format!("{}z", "y/".repeat((room - 1) / 2));
    let names = ["x".repeat(room), "x".repeat(room - 1) + "-", segments, "x".repeat(255), "x".repeat(256)];
    different(bench, names.iter().map(|name| bench.key(name))).await
}

pub(super) async fn a_key_may_be_the_start_of_another(bench: &Bench<'_>) -> Outcome {
    let names = ["a/b", "a", "a/b/c", "ab", "d", "d/e", "a/b.tmp", "a/b#1"];
    different(bench, names.iter().map(|name| bench.key(name))).await
}

/// Each key keeps a blob of its own.
async fn different(bench: &Bench<'_>, keys: impl IntoIterator<Item = Result<BlobKey, String>>) -> Outcome {
    let keys: Vec<BlobKey> = keys.into_iter().collect::<Result<_, _>>()?;
    let content = |key: &BlobKey| Bytes::copy_from_slice(key.as_str().as_bytes());
    for key in &keys {
        let outcome = bench.put(key, content(key)).await?;
        ensure(outcome == PutOutcome::Created, || format!("the new key {key:?} was there already"))?;
    }
    for key in &keys {
        let read = bench.get(key).await?;
        ensure(read == content(key), || format!("{key:?} has the blob of another key"))?;
    }
    if bench.can.delete {
        for key in &keys {
            bench.delete(key).await?;
        }
    }
    Ok(())
}
