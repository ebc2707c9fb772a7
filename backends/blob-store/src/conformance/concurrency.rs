use std::future::poll_fn;
use std::task::Poll;

use futures_util::future::{BoxFuture, join, join_all};

use crate::{ErrorKind, PutOptions, PutOutcome};

use super::listing::list;
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
                bench.delete(&key).await?;
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

pub(super) async fn blobs_put_at_once_do_not_mix(bench: &Bench<'_>) -> Outcome {
    let puts = (0..24).map(|n| async move {
        let name = format!("blob-{n}");
        // Large enough to be sent in parts, and no two alike.
        bench.round_trip(&bench.key(&name)?, pattern((1 << 20) + n)).await
    });
    join_all(puts).await.into_iter().collect()
}

pub(super) async fn a_cancelled_put_leaves_all_or_nothing(bench: &Bench<'_>) -> Outcome {
    let blob = pattern((4 << 20) + 1);
    for polls in [1, 2, 3, 4, 5, 6, 8, 11, 16, 23, 32, 64] {
        let key = bench.key(&format!("after-{polls}-polls"))?;
        let put = bench.store.put(&key, blob.clone().into(), PutOptions::default());
        cancelled_after(polls, put).await;
        match bench.try_get(&key).await {
            Ok(read) => ensure(read == blob, || format!("a cancelled put left {} other bytes", read.len()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("get after a cancelled put failed: {error}")),
        }
        bench.put(&key, blob.clone()).await?;
        ensure(bench.get(&key).await? == blob, || "a put after a cancelled one damaged the blob".into())?;
    }
    if bench.can.list {
        let left = list(bench, "").await?;
        let wrong = left.iter().find(|(_, size)| **size != blob.len() as u64);
        ensure(wrong.is_none(), || format!("a cancelled put left something that is listed: {wrong:?}"))?;
    }
    Ok(())
}

/// Drops `future` when it has been polled so often without an end.
async fn cancelled_after<T>(polls: usize, mut future: BoxFuture<'_, T>) {
    let mut left = polls;
    poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Pending if left > 0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
    .await;
}
