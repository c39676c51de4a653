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

/// Judges the body of a request by a set, as a guard does after the head.
fn body(set: &str, target: &str, text: &str) -> Result<(), String> {
    let rules = Rules::parse(&format!("include = ['{set}']")).unwrap();
    let target = Target::parse(target).unwrap();
    let found = rules.candidates(&Client::default(), &Method::POST, &target, None).unwrap();
    let rule::Body::Json(fields) = &found[0].rule.body else { panic!("{target:?} has no JSON") };
    let value = crate::json::strict::parse(text.as_bytes())?;
    fields.check(&value).map_err(|(path, why)| format!("{path}: {why}"))
}

/// What makes a container more than the daemon's default, and spellings that Go's JSON takes for
/// the same.
#[test]
fn a_container_of_a_build_has_no_privileges_in_any_spelling() {
    let create = |text: &str| body("docker:ci-build", "/v1.41/containers/create?name=job", text);
    let host = |fields: &str| create(&format!("{{\"Image\":\"a\",\"HostConfig\":{{{fields}}}}}"));
    for fields in [
        r#""Privileged":true"#,
        r#""privileged":true"#,
        r#""PRIVILEGED":true"#,
        "\"Binds\":[\"/:/host\"]",
        "\"Bind\u{17f}\":[\"/:/host\"]",
        "\"Mount\u{17f}\":[]",
        "\"Ma\u{17f}\u{212a}edPaths\":[]",
        "\"Networ\u{212a}Mode\":\"host\"",
        "\"NetworkMode\":\"bridge\",\"Networ\u{212a}Mode\":\"host\"",
        r#""Net\u0077orkMode":"host""#,
        r#""NetworkMode":"HOST""#,
        r#""NetworkMode":"container:foreign""#,
        r#""NetworkMode":"host ""#,
        r#""NetworkMode":["host"]"#,
        r#""PidMode":"host""#,
        r#""PidMode":"container:foreign""#,
        r#""IpcMode":"container:foreign""#,
        r#""IpcMode":"shareable""#,
        r#""UTSMode":"host""#,
        r#""UsernsMode":"host""#,
        r#""CgroupnsMode":"host""#,
        r#""CgroupParent":"/""#,
        r#""Cgroup":"container:foreign""#,
        r#""Runtime":"io.containerd.runc.v2""#,
        r#""SecurityOpt":["seccomp=unconfined"]"#,
        r#""SecurityOpt":"apparmor=unconfined""#,
        r#""CapAdd":["ALL"]"#,
        r#""CapAdd":"ALL""#,
        r#""Capabilities":["CAP_SYS_ADMIN"]"#,
        r#""Devices":[{"PathOnHost":"/dev/sda","PathInContainer":"/dev/sda","CgroupPermissions":"rwm"}]"#,
        r#""DeviceCgroupRules":["a *:* rwm"]"#,
        r#""DeviceRequests":[{"Count":-1}]"#,
        r#""Binds":["/proc/1/root:/host"]"#,
        r#""Binds":["docker.sock:/a","/run/docker.sock:/b"]"#,
        r#""Mounts":[{"Type":"bind","Source":"/","Target":"/host"}]"#,
        r#""Mounts":[{"Type":"volume","Target":"/h","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"bind","device":"/"}}}}]"#,
        r#""Mounts":[{"Type":"tmpfs","Target":"/x"}]"#,
        r#""Mounts":[{"Type":"npipe","Source":"a","Target":"/x"}]"#,
        r#""Tmpfs":{"/x":""}"#,
        r#""VolumesFrom":["foreign"]"#,
        r#""VolumeDriver":"local""#,
        r#""Links":["foreign:a"]"#,
        r#""GroupAdd":["0"]"#,
        r#""Sysctls":{"kernel.msgmax":"1"}"#,
        r#""Ulimits":[{"Name":"rtprio","Soft":99,"Hard":99}]"#,
        r#""OomScoreAdj":-1000"#,
        r#""OomKillDisable":true"#,
        r#""LogConfig":{"Type":"syslog"}"#,
        r#""LogConfig":{"Config":{"syslog-address":"tcp://a"}}"#,
        r#""RestartPolicy":{"Name":"always"}"#,
        r#""PortBindings":{"80/tcp":[{"HostPort":"80"}]}"#,
        r#""PublishAllPorts":true"#,
        r#""StorageOpt":{"size":"1T"}"#,
        r#""Annotations":{"run.oci.keep_original_groups":"1"}"#,
        r#""ShmSize":1e12"#,
        r#""ShmSize":-1"#,
        r#""MaskedPaths":[]"#,
        r#""ReadonlyPaths":[]"#,
        r#""ContainerIDFile":"/etc/passwd""#,
        r#""":1"#,
        r#""Privileged\u0000":true"#,
        r#""HostConfig":{"Privileged":true}"#,
    ] {
        assert!(host(fields).is_err(), "{fields}");
    }
    for text in [
        "{\"Image\":\"a\",\"hostConfig\":{\"Privileged\":true}}",
        "{\"Image\":\"a\",\"Ho\u{17f}tConfig\":{\"Privileged\":true}}",
        "{\"Image\":\"a\",\"HostConfig\":{},\"ho\u{17f}tConfig\":{\"Privileged\":true}}",
        "{\"Image\":\"a\",\"HostConfig\":[{\"Privileged\":true}]}",
        "{\"Image\":\"a\",\"HostConfig\":\"{}\"}",
        "{\"Image\":\"a\",\"Volumes\":{\"/data\":{}}}",
        "{\"Image\":\"a\",\"ExposedPorts\":{\"80/tcp\":{}}}",
        "{\"Image\":\"a\",\"MacAddress\":\"02:42:ac:11:00:02\"}",
        "{\"Image\":\"a\",\"NetworkingConfig\":{\"EndpointsConfig\":{\"host\":{}}}}",
        "{\"Image\":\"a\",\"NetworkingConfig\":{\"EndpointsConfig\":{\"default\":{\"NetworkID\":\"host\"}}}}",
        "{\"Image\":\"a\"}{\"HostConfig\":{\"Privileged\":true}}",
        "{\"Image\":\"a\"}\0",
        "\u{feff}{\"Image\":\"a\"}",
        "{\"Image\":\"a\",}",
        "{\"Image\":\"a\"/**/}",
        "{'Image':'a'}",
        "[]",
        "",
    ] {
        assert!(create(text).is_err(), "{text}");
    }
    for fields in [
        r#""Privileged":false,"Binds":null,"Mounts":[],"CapAdd":null,"SecurityOpt":null,"MaskedPaths":null"#,
        r#""NetworkMode":"none","PidMode":"","Memory":1048576,"RestartPolicy":{"Name":"no","MaximumRetryCount":0}"#,
    ] {
        assert_eq!(host(fields), Ok(()), "{fields}");
    }
}

#[test]
fn a_build_asks_for_no_more_than_its_directory() {
    let rules = Rules::parse("include = ['docker:ci-build']").unwrap();
    let ask = |query: &str| names(&rules, "POST", &format!("/v1.41/build?t=a&{query}"));
    for query in [
        "remote=http://host.example/context.tar",
        "remote=git%3A%2F%2Fhost.example%2Fa.git",
        "networkmode=host",
        "networkmode=container:foreign",
        "networkmode=none&networkmode=host",
        "networkMode=host",
        "version=2",
        "session=a",
        "outputs=%5B%7B%22Type%22%3A%22local%22%7D%5D",
        "cgroupparent=/",
        "extrahosts=a:1.1.1.1",
        "securityopt=%5B%22seccomp%3Dunconfined%22%5D",
        "ulimits=%5B%7B%22Name%22%3A%22rtprio%22%7D%5D",
        "isolation=hyperv",
        "fromSrc=-",
        "buildid=a",
    ] {
        assert!(ask(query).is_err(), "{query}");
    }
    assert!(ask("networkmode=none&remote=&ulimits=null&version=1&cgroupparent=&rm=1&t=b").is_ok());
    for path in [
        "/containers/create?name=0123456789ab",
        "/containers/create?name=job&name=other",
        "/images/create?fromSrc=-",
        "/images/load",
        "/commit?container=a",
        "/plugins/pull?remote=a",
        "/swarm/init",
        "/session",
        "/grpc",
        "/containers/a/exec",
        "/exec/a/start",
        "/containers/a/update",
        "/containers/a/rename?name=b",
        "/containers/a/start?checkpoint=x",
        "/networks/create",
        "/volumes/create",
        "/services/create",
        "/build/prune",
    ] {
        assert!(names(&rules, "POST", path).is_err(), "{path}");
    }
    assert!(names(&rules, "DELETE", "/containers/a?v=1&force=1&link=False").is_ok());
    assert!(names(&rules, "DELETE", "/containers/a?link=1").is_err());
}

/// Everywhere in a service or a task where there may be a password.
#[test]
fn services_are_shown_without_secrets() {
    use serde_json::json;
    let mounts =
        json!([{"VolumeOptions": {"DriverConfig": {"Name": "local", "Options": {"o": "password=hunter2"}}}}]);
    let task = json!({
        "ContainerSpec": {"Image": "shown", "Env": ["PASSWORD=hunter2"], "Mounts": mounts},
        "PluginSpec": {"env": ["PASSWORD=hunter2"], "Env": ["PASSWORD=hunter2"]},
        "LogDriver": {"Name": "splunk", "Options": {"splunk-token": "hunter2"}},
    });
    let service = json!({"Spec": {"TaskTemplate": task}, "PreviousSpec": {"TaskTemplate": task}});
    for (set, target, answer) in [
        ("docker:read-only", "/services", json!([service])),
        ("docker:read-only", "/services/a", service.clone()),
        ("docker:read-only", "/tasks", json!([{"Spec": task}])),
        ("docker:read-only", "/tasks/a", json!({"Spec": task})),
        ("docker:traefik", "/services", json!([service])),
        ("docker:traefik", "/tasks", json!([{"Spec": task}])),
    ] {
        let rules = Rules::parse(&format!("include = ['{set}']")).unwrap();
        let target = Target::parse(target).unwrap();
        let found = rules.candidates(&Client::default(), &Method::GET, &target, None).unwrap();
        let mut answer = answer;
        found[0].rule.redact.iter().for_each(|path| crate::json::redact::redact(&mut answer, path));
        let text = answer.to_string();
        assert!(!text.contains("hunter2") && text.contains("shown"), "{set} {target:?}: {text}");
    }
}
