use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Bench, Outcome, ensure, pattern};

pub(super) async fn a_list_has_every_blob_with_its_size(bench: &Bench<'_>) -> Outcome {
    let count = bench.options.listed_blobs;
    let names = (0..count).map(|n| format!("dir-{}/blob-{n}", n % 7));
    let puts = names.map(|name| async move { bench.put(&bench.key(&name)?, pattern(name.len())).await });
    stream::iter(puts).buffer_unordered(16).try_collect::<Vec<_>>().await?;

    let listed = list(bench, "").await?;
    ensure(listed.len() == count, || format!("of {count} blobs, {} were listed", listed.len()))?;
    for (key, size) in &listed {
        let expected = (key.len() - bench.prefix.len()) as u64;
        ensure(*size == expected, || format!("{key:?} has {expected} bytes and was listed with {size}"))?;
    }
    if bench.can.delete {
        bench.delete(&bench.key("dir-0/blob-0")?).await?;
        ensure(list(bench, "dir-0/blob-0").await?.is_empty(), || "a deleted blob is listed".into())?;
    }
    let part = list(bench, "dir-3/").await?;
    let expected = (0..count).filter(|n| n % 7 == 3).count();
    ensure(part.len() == expected, || {
        format!("of {expected} blobs below a prefix, {} were listed", part.len())
    })
}

pub(super) async fn a_list_of_nothing_is_empty(bench: &Bench<'_>) -> Outcome {
    let listed = list(bench, "nothing/here").await?;
    ensure(listed.is_empty(), || format!("{listed:?} were listed"))
}

pub(super) async fn a_prefix_is_plain_text(bench: &Bench<'_>) -> Outcome {
    for name in ["ab*c", "abbc", "a?c", "a[b]c", "abc", "a\\bc", "a%62c", "abcd", "xabc"] {
        bench.put(&bench.key(name)?, pattern(1)).await?;
    }
    for (prefix, expected) in [
        ("ab*", &["ab*c"][..]),
        ("a?", &["a?c"]),
        ("a[b]", &["a[b]c"]),
        ("a\\", &["a\\bc"]),
        ("a%62", &["a%62c"]),
        ("abc", &["abc", "abcd"]),
        ("ab", &["ab*c", "abbc", "abc", "abcd"]),
    ] {
        let listed = list(bench, prefix).await?;
        let listed: Vec<_> = listed.keys().map(|key| &key[bench.prefix.len()..]).collect();
        ensure(listed == expected, || {
            format!("below {prefix:?}, {listed:?} were listed and not {expected:?}")
        })?;
    }
    Ok(())
}

pub(super) async fn a_list_tells_ages(bench: &Bench<'_>) -> Outcome {
    bench.put(&bench.key("aged")?, pattern(1)).await?;
    let failed = |error| format!("list failed: {error}");
    let listed = bench.store.list(&bench.prefix).await.map_err(failed)?;
    let listed: Vec<_> = listed.try_collect().await.map_err(failed)?;
    ensure(listed.iter().all(|blob| blob.info.modified.is_some()), || {
        "it declares ages and lists blobs without".into()
    })
}

/// The keys below a prefix with their sizes, each once.
pub(super) async fn list(bench: &Bench<'_>, prefix: &str) -> Result<BTreeMap<String, u64>, String> {
    let failed = |error| format!("list failed: {error}");
    let listed = bench.store.list(&format!("{}{prefix}", bench.prefix)).await.map_err(failed)?;
    listed.map_ok(|blob| (blob.key.to_string(), blob.info.size)).try_collect().await.map_err(failed)
}
