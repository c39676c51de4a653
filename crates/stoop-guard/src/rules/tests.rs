use proptest::prelude::*;

use super::*;

fn names(rules: &Rules, method: &str, target: &str) -> Result<Vec<String>, NoRule> {
    let (method, target) = (method.parse().unwrap(), Target::parse(target).unwrap());
    let found = rules.candidates(&Client::default(), &method, &target, None)?;
    Ok(found.iter().map(|candidate| candidate.rule.name.clone()).collect())
}

#[test]
fn every_built_in_set_is_read() {
    for name in Rules::SETS {
        let rules = Rules::parse(Rules::set_text(name).unwrap());
        assert!(rules.is_ok(), "{name}: {}", rules.unwrap_err());
        assert_eq!(
            Rules::parse(&format!("include = ['{name}']")).unwrap().groups[1..],
            rules.unwrap().groups[..]
        );
    }
}

#[test]
fn the_read_only_set_has_no_request_that_changes_or_extracts() {
    let rules = Rules::parse("include = ['docker:read-only']").unwrap();
    for path in [
        "/_ping",
        "/version",
        "/info",
        "/containers/json",
        "/v1.47/containers/json",
        "/v1.47/images/a/b/json",
    ] {
        assert!(names(&rules, "GET", path).is_ok(), "{path}");
    }
    for path in [
        "/containers/a/archive",
        "/containers/a/export",
        "/containers/a/logs",
        "/containers/a/attach/ws",
        "/v1.47/v1.47/containers/json",
        "/v1/containers/json",
        "/V1.47/containers/json",
        "/images/get",
        "/images/a/get",
        "/swarm",
        "/secrets",
        "/configs",
        "/plugins",
        "/containers/a/top",
    ] {
        assert!(names(&rules, "GET", path).is_err(), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
        assert!(names(&rules, method, "/containers/json").is_err(), "{method}");
    }
}

#[test]
fn a_file_is_refused_with_its_line() {
    for (text, line, words) in [
        ("requests = [\n 'GET /a',\n 'get /b']", 3, "capital letters"),
        ("[[allow]]\nrequest = 'GET /{x}'", 2, "not a placeholder"),
        ("[[allow]]\nrequest = 'GET /a'\nquerry = {}", 3, "unknown field"),
        ("\ninclude = ['docker:all']", 2, "not a set of rules: docker:read-only"),
        ("[[allow]]\nrequest = 'GET /a'\nheaders = ['Host']", 3, "never forwarded"),
        ("[[allow]]\nrequest = 'GET /a'\njson = { A = 'b' }", 3, "not a condition"),
        ("[[allow]]\nrequest = 'GET /a'\njson = { A = 1 }", 3, "a condition is"),
        ("[[allow]]\nrequest = 'GET /a'\nfilter = 'x'", 3, "containers, events, networks"),
        ("[[client]]\ncontainer = ['web']", 2, "12 or more digits"),
        ("visible-label = 'a'", 1, "key=value"),
        ("[[allow]]\nrequest = 'GET /a'\ncall = 'a.B/C'", 2, "not both"),
        ("[[allow]]\ncall = 'a.B/C'\njson = 'any'", 2, "one of"),
        ("a = [", 1, ""),
    ] {
        let error = Rules::parse(text).unwrap_err();
        assert_eq!(error.line(), Some(line), "{text}: {error}");
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

#[test]
fn rules_of_a_client_are_for_that_client() {
    let text = "requests = ['GET /a']\n[[client]]\nuid = [7]\nrequests = ['GET /b']";
    let rules = Rules::parse(text).unwrap();
    let seven = Client { uid: Some(7), ..Client::default() };
    let (get, target) = (Method::GET, Target::parse("/b").unwrap());
    assert!(rules.candidates(&seven, &get, &target, None).is_ok());
    assert!(rules.candidates(&Client::default(), &get, &target, None).is_err());
    assert!(rules.candidates(&seven, &get, &Target::parse("/a").unwrap(), None).is_ok());
}

#[test]
fn an_upgrade_needs_a_rule_that_says_so() {
    let text = "[[allow]]\nrequest = 'POST /attach'\nupgrade = ['tcp']\n[[allow]]\nrequest = 'GET /a'";
    let rules = Rules::parse(text).unwrap();
    let ask = |method: Method, path: &str, upgrade| {
        rules.candidates(&Client::default(), &method, &Target::parse(path).unwrap(), upgrade).map(|_| ())
    };
    assert!(ask(Method::POST, "/attach", Some("tcp")).is_ok());
    assert!(ask(Method::POST, "/attach", Some("h2c")).is_err());
    assert!(ask(Method::POST, "/attach", None).is_err());
    assert!(ask(Method::GET, "/a", Some("h2c")).is_err());
}

#[test]
fn with_a_visible_label_unfiltered_requests_are_refused() {
    let text = "visible-label = 'a=b'\nrequests = ['GET /system/df', 'GET /containers/{container}/json']\n\
                [[allow]]\nrequest = 'GET /_ping'\nunfiltered = true";
    let rules = Rules::parse(text).unwrap();
    assert!(names(&rules, "GET", "/_ping").is_ok());
    assert!(names(&rules, "GET", "/containers/a/json").is_ok());
    assert!(names(&rules, "GET", "/system/df").unwrap_err().why.contains("without the label"));
}

proptest! {
    #[test]
    fn what_no_rule_names_is_refused(
        allowed in proptest::collection::vec("(GET|POST) (/[ab]{1,2}){1,3}", 0..5),
        method in "GET|POST|PUT",
        path in "(/[ab]{1,2}){1,3}",
    ) {
        let mut rules = Rules::default();
        allowed.iter().for_each(|rule| rules.allow(rule).unwrap());
        let is_named = allowed.contains(&format!("{method} {path}"));
        prop_assert_eq!(names(&rules, &method, &path).is_ok(), is_named);
    }
}
