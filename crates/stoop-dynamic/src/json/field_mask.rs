//! The JSON form of `FieldMask`: paths in lowerCamelCase, separated by commas. Does no I/O.

/// Returns the JSON form of paths, or `None` if a path would not be the same when read back.
pub(super) fn text<'p>(paths: impl Iterator<Item = &'p str>) -> Option<String> {
    let camel: Option<Vec<String>> = paths.map(camel_case).collect();
    camel.map(|paths| paths.join(","))
}

/// Returns the paths of a JSON form.
pub(super) fn paths(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',').map(snake_case).collect()
}

fn camel_case(path: &str) -> Option<String> {
    let mut camel = String::with_capacity(path.len());
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '_' => camel.push(chars.next().filter(char::is_ascii_lowercase)?.to_ascii_uppercase()),
            ',' => return None,
            c if c.is_ascii_uppercase() => return None,
            c => camel.push(c),
        }
    }
    Some(camel)
}

fn snake_case(path: &str) -> Option<String> {
    let mut snake = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '_' => return None,
            c if c.is_ascii_uppercase() => snake.extend(['_', c.to_ascii_lowercase()]),
            c => snake.push(c),
        }
    }
    Some(snake)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_would_change_have_no_form() {
        let both = [("foo_bar.baz,qux", "fooBar.baz,qux"), ("", ""), ("a", "a")];
        for (snake, camel) in both {
            let list: Vec<&str> = snake.split(',').filter(|path| !path.is_empty()).collect();
            assert_eq!(text(list.iter().copied()).as_deref(), Some(camel));
            assert_eq!(paths(camel).unwrap(), list);
        }
        for wrong in ["fooBar", "foo_3_bar", "foo__bar", "foo_", "a,b"] {
            assert_eq!(text([wrong].into_iter()), None, "{wrong}");
        }
        assert_eq!(paths("foo_bar"), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(path in "[a-zA-Z_.3]{1,20}") {
            if let Some(text) = text([path.as_str()].into_iter()) {
                proptest::prop_assert_eq!(paths(&text), Some(vec![path]));
            }
        }
    }
}
