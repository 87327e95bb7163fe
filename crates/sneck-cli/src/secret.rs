//! Passwords that came in, so that none goes out.

/// The credentials in a URL, greedily: from `://` to the last `@`. Wrong URLs are the ones that get
/// printed, so this must not depend on the URL being right.
fn user_info(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (user_info, _) = rest.rsplit_once('@')?;
    (!user_info.is_empty()).then_some(user_info)
}

/// The same text without the credentials of a URL in it.
pub(crate) fn without_credentials(text: &str) -> String {
    match user_info(text) {
        Some(user_info) => text.replacen(&format!("{user_info}@"), "***@", 1),
        None => text.to_owned(),
    }
}

/// Everything that must not be printed.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// A password too short to be told from ordinary text is hidden only where it stands between
    /// user and host.
    const ALONE_BYTES_MIN: usize = 6;

    /// Learns the credentials of a URL in `text`, if there is one.
    pub(crate) fn learn(&mut self, text: &str) {
        let Some(user_info) = user_info(text) else { return };
        self.0.push(format!("{user_info}@"));
        self.0.push(user_info.to_owned());
        if let Some((_, password)) = user_info.split_once(':') {
            self.0.push(password.to_owned());
        }
        self.0.retain(|secret| secret.ends_with('@') || secret.len() >= Self::ALONE_BYTES_MIN);
        // The longest first, so that no part of it is left over.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self.0.dedup();
    }

    /// The text without what has been learnt.
    pub(crate) fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                let stars = if secret.ends_with('@') { "***@" } else { "***" };
                text = text.replace(secret.as_str(), stars);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_in_right_and_wrong_urls() {
        for (url, shown) in [
            ("zk://h1,h2/a", "zk://h1,h2/a"),
            ("zk://u:hunter2@h/a", "zk://***@h/a"),
            ("--server=zk://u:hunter2@h", "--server=zk://***@h"),
            ("zk://u:hun/ter?2@x@h", "zk://***@h"),
            ("zk://u:hunter2@", "zk://***@"),
            ("zk://@h", "zk://@h"),
        ] {
            assert_eq!(without_credentials(url), shown);
            let mut secrets = Secrets::default();
            secrets.learn(url);
            assert!(!secrets.hide(&format!("bad value '{url}'")).contains("hun"), "{url}");
            assert!(
                !secrets.hide("no host hunter2").contains("hunter2") || !url.contains("u:hunter2@")
            );
        }
    }

    #[test]
    fn a_password_is_hidden_where_it_stands_alone() {
        let mut secrets = Secrets::default();
        secrets.learn("zk://u:hunter2@h");
        assert_eq!(secrets.hide("no host \"hunter2\""), "no host \"***\"");
    }

    #[test]
    fn a_short_password_does_not_blot_out_the_text() {
        let mut secrets = Secrets::default();
        secrets.learn("zk://u:a@h");
        assert_eq!(secrets.hide("a lock at zk://u:a@h"), "a lock at zk://***@h");
    }
}
