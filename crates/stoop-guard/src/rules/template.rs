//! Path templates with typed segments, such as `/containers/{container}/json`. Pure.

/// A path with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// A name or id: letters, digits, `_`, `.` and `-`, the first a letter or digit.
    Id,
    /// The same, of a container of Docker.
    Container,
    /// Decimal digits.
    Number,
    /// One segment with anything in it.
    Any,
    /// A reference to an image, of one or more segments.
    Image,
}

/// The placeholders, as written.
const PLACEHOLDERS: [(&str, Part); 5] = [
    ("{id}", Part::Id),
    ("{container}", Part::Container),
    ("{number}", Part::Number),
    ("{any}", Part::Any),
    ("{image}", Part::Image),
];

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        let rest = text.strip_prefix('/').ok_or_else(|| format!("'{text}' does not begin with a slash"))?;
        if rest.is_empty() {
            return Ok(Template(Vec::new()));
        }
        let parts: Vec<Part> = rest.split('/').map(part).collect::<Result<_, _>>()?;
        match parts.iter().filter(|part| **part == Part::Image).count() {
            0 | 1 => Ok(Template(parts)),
            _ => Err("{image} can be given once".into()),
        }
    }

    /// Creates a template of literal segments.
    pub(crate) fn literal(segments: &[&str]) -> Template {
        Template(segments.iter().map(|segment| Part::Literal((*segment).to_owned())).collect())
    }

    /// Returns whether the path matches. Letters match in their case only.
    pub(crate) fn matches(&self, path: &[String]) -> bool {
        let Some(at) = self.0.iter().position(|part| *part == Part::Image) else {
            return path.len() == self.0.len() && all(&self.0, path);
        };
        let (before, after) = (&self.0[..at], &self.0[at + 1..]);
        let Some(end) = path.len().checked_sub(after.len()).filter(|end| *end > at) else { return false };
        all(before, &path[..at])
            && path[at..end].iter().all(|segment| is_image(segment))
            && all(after, &path[end..])
    }

    /// Returns which segment is a container.
    pub(crate) fn container(&self) -> Option<usize> {
        // After an image of several segments its place would not be known.
        let before = self.0.iter().take_while(|part| **part != Part::Image);
        before.enumerate().find(|(_, part)| **part == Part::Container).map(|(at, _)| at)
    }
}

fn part(text: &str) -> Result<Part, String> {
    if let Some((_, part)) = PLACEHOLDERS.iter().find(|(name, _)| *name == text) {
        return Ok(part.clone());
    }
    if text.contains(['{', '}', '*']) {
        let known: Vec<&str> = PLACEHOLDERS.iter().map(|(name, _)| *name).collect();
        return Err(format!("'{text}' is not a placeholder: {}", known.join(", ")));
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"%\\?#;".contains(&byte);
    match !["", ".", ".."].contains(&text) && text.bytes().all(is_plain) {
        true => Ok(Part::Literal(text.to_owned())),
        false => Err(format!("'{text}' is not a segment of a path")),
    }
}

fn all(parts: &[Part], path: &[String]) -> bool {
    parts.iter().zip(path).all(|(part, segment)| part.matches(segment))
}

impl Part {
    fn matches(&self, segment: &str) -> bool {
        match self {
            Part::Literal(text) => text == segment,
            Part::Id | Part::Container => begins_plain(segment) && segment.bytes().all(is_id_byte),
            Part::Number => !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit()),
            Part::Any => true,
            Part::Image => is_image(segment),
        }
    }
}

fn begins_plain(segment: &str) -> bool {
    segment.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

fn is_image(segment: &str) -> bool {
    begins_plain(segment) && segment.bytes().all(|byte| is_id_byte(byte) || b":@".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(template: &str, path: &str) -> bool {
        let path: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
        Template::parse(template).unwrap().matches(&path)
    }

    #[test]
    fn segments_have_types() {
        for (template, path) in [
            ("/containers/json", "/containers/json"),
            ("/containers/{id}/json", "/containers/web_1.a-b/json"),
            ("/images/{image}/json", "/images/busybox/json"),
            ("/images/{image}/json", "/images/host:5000/a/b@sha256:00/json"),
            ("/images/{image}", "/images/a/json"),
            ("/a/{number}", "/a/12"),
            ("/a/{any}", "/a/:x@y"),
        ] {
            assert!(matches(template, path), "{template} {path}");
        }
        for (template, path) in [
            ("/containers/json", "/containers/JSON"),
            ("/containers/json", "/Containers/json"),
            ("/containers/{id}/json", "/containers/json"),
            ("/containers/{id}/json", "/containers/a/b/json"),
            ("/containers/{id}/json", "/containers/-a/json"),
            ("/containers/{id}/json", "/containers/a:b/json"),
            ("/images/{image}/json", "/images/json"),
            ("/images/{image}/json", "/images/a/get"),
            ("/images/{image}/json", "/images/a/.b/json"),
            ("/a/{number}", "/a/1x"),
        ] {
            assert!(!matches(template, path), "{template} {path}");
        }
    }

    #[test]
    fn templates_are_checked() {
        for text in ["", "a", "/a//b", "/a/", "/{x}", "/a{id}", "/*", "/..", "/a%20", "/{image}/{image}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        assert_eq!(Template::parse("/containers/{container}/json").unwrap().container(), Some(1));
    }
}
