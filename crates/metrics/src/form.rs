//! The forms in which Prometheus and others read figures, and which of them somebody asks for.

/// A form of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Prometheus text, version 0.0.4: what everybody reads. It has no exemplars.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's messages, each after its length: the only form that has native histograms.
    Protobuf,
}

impl Form {
    /// The form that is wanted most, of those that an `Accept` header names; text where it names none.
    #[must_use]
    pub fn of_accept(header: &str) -> Self {
        let mut best = (0.0, Self::Text);
        for item in header.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let parameters: Vec<&str> = parts.collect();
            let has = |wanted: &str| parameters.iter().any(|parameter| parameter.replace('"', "") == wanted);
            let form = match media {
                "application/vnd.google.protobuf"
                    if has("proto=io.prometheus.client.MetricFamily") && has("encoding=delimited") =>
                {
                    Self::Protobuf
                }
                "application/openmetrics-text" => Self::OpenMetrics,
                "text/plain" | "text/*" | "*/*" => Self::Text,
                _ => continue,
            };
            let quality = parameters.iter().find_map(|parameter| parameter.strip_prefix("q="));
            let quality: f64 = quality.and_then(|q| q.parse().ok()).unwrap_or(1.0);
            if quality > best.0 {
                best = (quality, form);
            }
        }
        best.1
    }

    /// Its `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}
