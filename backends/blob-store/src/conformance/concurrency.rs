use std::time::Duration;

use futures_util::future::{join, join_all};

use crate::{ErrorKind, PutOptions, PutOutcome};

use super::{Bench, Outcome, ensure, pattern};

pub(super) async fn many_may_put_one_key(bench: &Bench<'_>) -> Outcome {
    for size in [1_000, (1 << 20) + 1] {
        let (key, blob) = (bench.key(&format!("size-{size}"))?, pattern(size));
        let puts = (0..bench.options.concurrent_puts).map(|_| bench.put(&key, blob.clone()));
        let outcomes: Vec<_> = join_all(puts).await.into_iter().collect::<Result<_, _>>()?;
        ensure(outcomes.contains(&PutOutcome::Created), || "nobody created the blob".into())?;
        ensure(bench.get(&key).await? == blob, || "concurrent puts damaged the blob".into())?;
    }
    Ok(())
}

pub(super) async fn readers_see_all_or_nothing(bench: &Bench<'_>) -> Outcome {
    let (key, blob) = (bench.key("contended")?, pattern((2 << 20) + 3));
    let write = async {
        for _ in 0..15 {
            bench.put(&key, blob.clone()).await?;
            if bench.can.delete {
                bench.store.delete(&key).await.map_err(|error| format!("delete failed: {error}"))?;
            }
        }
        Ok(())
    };
    let read = async {
        for _ in 0..60 {
            match bench.try_get(&key).await {
                Ok(read) => ensure(read == blob, || format!("a reader saw {} other bytes", read.len()))?,
                // It went away before or while it was read; a blob that is deleted may also seem cut short.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => {}
                Err(error) => return Err(format!("get failed: {error}")),
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    let (written, seen): (Outcome, Outcome) = join(write, read).await;
    written.and(seen)
}

pub(super) async fn a_cancelled_put_leaves_all_or_nothing(bench: &Bench<'_>) -> Outcome {
    let blob = pattern((4 << 20) + 1);
    for attempt in 0..12u32 {
        let key = bench.key(&format!("attempt-{attempt}"))?;
        let put = bench.store.put(&key, blob.clone().into(), PutOptions::default());
        let _ = tokio::time::timeout(Duration::from_micros(1 << attempt), put).await;
        match bench.try_get(&key).await {
            Ok(read) => ensure(read == blob, || format!("a cancelled put left {} other bytes", read.len()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("get after a cancelled put failed: {error}")),
        }
        bench.put(&key, blob.clone()).await?;
        ensure(bench.get(&key).await? == blob, || "a put after a cancelled one damaged the blob".into())?;
    }
    Ok(())
}
