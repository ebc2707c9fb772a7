use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use crate::{Error, ErrorKind, Result};

/// The query of a store URL, taken option by option. What nobody takes is an error.
///
/// For the implementer of a store. The query may hold secrets, so no value is ever repeated in an error.
///
/// ```
/// # use blob_store::UrlOptions;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url = "redis://localhost/0?ttl=7days&prefx=team:".parse()?;
/// let mut options = UrlOptions::of(&url)?;
/// assert_eq!(options.duration("ttl")?, Some(std::time::Duration::from_secs(7 * 86_400)));
/// assert_eq!(options.text("prefix")?, None);
/// let error = options.finish().unwrap_err();
/// assert_eq!(error.message(), "unknown option \"prefx\" in a redis:// URL; did you mean \"prefix\"?");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct UrlOptions {
    scheme: String,
    given: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl UrlOptions {
    /// The options of `url`.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if an option is given twice.
    pub fn of(url: &Url) -> Result<Self> {
        let mut options = Self { scheme: url.scheme().to_owned(), given: BTreeMap::new(), known: Vec::new() };
        for (name, value) in url.query_pairs() {
            if options.given.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(options.invalid(&format!("option {name:?} is given twice")));
            }
        }
        Ok(options)
    }

    /// Takes a text.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if it is given and empty.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>> {
        self.known.push(name);
        match self.given.remove(name) {
            Some(value) if value.is_empty() => Err(self.invalid(&format!("option {name:?} is empty"))),
            value => Ok(value),
        }
    }

    /// Takes a duration such as `30s`, `24h` or `7days`.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if it is something else, or zero.
    pub fn duration(&mut self, name: &'static str) -> Result<Option<Duration>> {
        self.parsed(name, "a duration such as 30s, 24h or 7days", |text| {
            humantime::parse_duration(text).ok().filter(|duration| !duration.is_zero())
        })
    }

    /// Takes `true` or `false`.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if it is something else.
    pub fn flag(&mut self, name: &'static str) -> Result<Option<bool>> {
        self.parsed(name, "true or false", |text| text.parse().ok())
    }

    /// Ends the taking.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for an option that was not taken, with the most similar one that was.
    pub fn finish(self) -> Result<()> {
        let Some(unknown) = self.given.keys().next() else { return Ok(()) };
        let nearest = self
            .known
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown)));
        let hint = nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"));
        Err(Error::new(
            ErrorKind::InvalidConfig,
            format!("unknown option {unknown:?} in a {}:// URL{hint}", self.scheme),
        ))
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse(&text).map(Some).ok_or_else(|| self.invalid(&format!("option {name:?} is not {wanted}")))
    }

    fn invalid(&self, what: &str) -> Error {
        Error::new(ErrorKind::InvalidConfig, format!("{what} in a {}:// URL", self.scheme))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(query: &str) -> Result<UrlOptions> {
        UrlOptions::of(&format!("s3://bucket?{query}").parse().expect("a URL"))
    }

    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        let text = |error: Error| error.to_string();
        assert_eq!(
            options("a=1&a=secret").map_err(text).err(),
            Some("option \"a\" is given twice in a s3:// URL".into())
        );
        let mut given = options("ttl=secret&path_style=maybe&name=").expect("options");
        assert!(given.duration("ttl").map_err(text).is_err_and(|text| !text.contains("secret")));
        assert!(given.flag("path_style").map_err(text).is_err_and(|text| text.contains("true or false")));
        assert!(given.text("name").map_err(text).is_err_and(|text| text.contains("is empty")));
        assert_eq!(given.finish(), Ok(()));
    }
}
