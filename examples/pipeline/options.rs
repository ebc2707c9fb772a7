//! The command line of the programs that start the pipeline.

use std::path::PathBuf;

use crate::records::{self, Dataset};

/// Runs the Claim Check pipeline: a large dataset goes in, a small summary comes out.
#[derive(clap::Parser)]
pub struct Options {
    /// How many records to generate
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    records: usize,

    /// A file to use instead: JSON lines (.jsonl), CSV (.csv), or text with a record on each line
    #[arg(long, value_name = "FILE", conflicts_with = "records")]
    input: Option<PathBuf>,
}

impl Options {
    pub fn dataset(&self) -> Result<Dataset, Box<dyn std::error::Error + Send + Sync>> {
        match &self.input {
            Some(path) => records::read(path),
            None => Ok(records::generate(self.records)),
        }
    }
}
