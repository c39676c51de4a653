//! Lists, logs, and the life of a pod.

use serde_json::Value;
use stoop_e2e::Part::{Next, Seen, What, Why};
use stoop_e2e::containerd::{Containerd, IMAGE};
use stoop_e2e::{LIMIT, stoop};
use stoop_testkit::eventually;

use super::pod::{Pod, cri};

/// Checks the errors while there is no pod.
pub fn errors_say_what_to_do(containerd: &Containerd) {
    let fails = |words: &[&str], code, parts: &[_]| drop(cri(containerd, words).run().fails(code, parts));
    fails(&["logs", "web"], 1, &[(What, "no container 'web'"), (Seen, "0"), (Next, "ps -a")]);
    fails(&["inspectp", "web"], 1, &[(What, "no pod 'web'"), (Next, "pods")]);
    fails(&["inspecti", "no:1"], 1, &[(What, "no image 'no:1'"), (Next, "images")]);
    fails(&["runp", "nowhere.yaml"], 3, &[(What, "nowhere.yaml")]);
    std::fs::write(containerd.directory().join("wrong.yaml"), "metadata: {name: a}\nlog_dir: x\n").unwrap();
    fails(&["runp", "wrong.yaml"], 2, &[(What, "does not describe a pod"), (Why, "log_dir")]);
    let events = cri(containerd, &["--timeout", "1ms", "images"]).run();
    assert!([Some(0), Some(28)].contains(&events.code), "{}", events.stderr);
}

/// Returns the cells of each line of a table but its title.
fn lines(table: &str) -> Vec<Vec<&str>> {
    let cells = table.lines().skip(1).map(|line| line.split("  ").map(str::trim));
    cells.map(|cells| cells.filter(|cell| !cell.is_empty()).collect()).collect()
}

pub fn lists(pod: &Pod<'_>) {
    let table = pod.text(&["ps"]);
    let rows = lines(&table);
    let [row] = &rows[..] else { panic!("{table}") };
    assert_eq!((row[0], row[1], row[3], row[4]), (&pod.id[..13], IMAGE, "Running", "web"), "{table}");
    assert_eq!((row[7], row[8]), ("web-pod", "prod"), "{table}");
    assert!(row[2].ends_with(" ago"), "{table}");

    let whole = format!("{}\n", pod.id);
    for chosen in [
        &["ps", "-q"][..],
        &["ps", "-aq", "--name", "^we", "--label", "app=web", "--image", IMAGE, "-s", "running"],
        &["ps", "-q", "--pod", "web-pod", "--latest"],
        &["ps", "-q", &pod.id[..6]],
    ] {
        assert_eq!(pod.text(chosen), whole, "{chosen:?}");
    }
    for none in [
        &["ps", "-aq", "--name", "^eb"][..],
        &["ps", "-q", "--state", "Exited"],
        &["ps", "-q", "--label", "app=db"],
        &["ps", "-q", "--image", "stoop.test/pause:1"],
    ] {
        assert_eq!(pod.text(none), "", "{none:?}");
    }
    pod.cri(&["ps", "-q", "--pod", "nosuch"]).run().code(1);

    let table = pod.text(&["pods", "--namespace", "prod"]);
    let rows = lines(&table);
    assert_eq!((rows[0][2], rows[0][3], rows[0][4]), ("Ready", "web-pod", "prod"), "{table}");
    assert_eq!(pod.text(&["pods", "-q", "--state", "notready"]), "");

    let table = pod.text(&["images"]);
    assert!(lines(&table).iter().any(|row| (row[0], row[1]) == ("stoop.test/busybox", "1")), "{table}");
    assert_eq!(pod.text(&["images", "-q", IMAGE]).lines().count(), 1);

    forms(pod);
}

/// The same as JSON and YAML, and by different names.
fn forms(pod: &Pod<'_>) {
    let json: Value = serde_json::from_str(&pod.text(&["ps", "-o", "json"])).unwrap();
    assert_eq!(json["containers"][0]["id"], pod.id.as_str());
    let yaml = pod.text(&["ps", "-o", "yaml"]);
    assert!(yaml.starts_with("containers:\n  - ") && yaml.contains(&format!("id: {}\n", pod.id)), "{yaml}");
    let by_name = pod.text(&["inspect", "web"]);
    let status: Value = serde_json::from_str(&by_name).unwrap();
    assert_eq!(status["status"]["metadata"]["name"], "web");
    assert!(status["status"]["createdAt"].as_str().unwrap().starts_with("20"), "{by_name}");
    assert!(status["info"]["pid"].as_u64().unwrap() > 1, "{by_name}");
    assert_eq!(pod.text(&["inspect", &pod.id[..8]]), by_name);
    let status: Value = serde_json::from_str(&pod.text(&["inspectp", "web-pod", "-q"])).unwrap();
    assert_eq!((&status["status"]["state"], &status["info"]), (&"SANDBOX_READY".into(), &Value::Null));
    assert!(pod.text(&["version"]).contains("RuntimeName:  containerd\n"));
    let table = pod.text(&["info", "-o", "table"]);
    assert!(lines(&table).iter().any(|row| row[..2] == ["RuntimeReady", "true"]), "{table}");
}

pub fn logs(pod: &Pod<'_>) {
    let logged = || pod.cri(&["logs", "web"]).run().ok();
    eventually(LIMIT, || logged().stdout == "grüezi\n".as_bytes() && logged().stderr == "bad\n");
    let timed = pod.cri(&["logs", "-t", "web"]).run().ok();
    let (time, word) = timed.stderr.split_once(' ').unwrap();
    assert!(time.starts_with("20") && time.contains('T') && word == "bad\n", "{}", timed.stderr);
    let last = pod.cri(&["logs", "--tail", "1", "web"]).run().ok();
    assert_eq!(last.stdout.len() + last.stderr.len(), last.stdout.len().max(last.stderr.len()));
    assert_eq!(pod.text(&["logs", "--tail=0", "web"]), "");
    assert_eq!(pod.text(&["logs", "--since", "2999-01-01T00:00:00Z", "web"]), "");
    assert_eq!(pod.text(&["logs", "--since", "1h", "web"]), "grüezi\n");
    pod.cri(&["logs", "-p", "web"]).run().code(1).explains(&["no previous instance"]);

    let following = pod.cri(&["logs", "-f", "web"]).spawn();
    following.wait_stdout("grüezi\n");
    let rotated = pod.containerd.directory().join("logs/web.log");
    let append = |line: &str| {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&rotated).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    };
    append("2026-01-01T00:00:00Z stdout P one \n2026-01-01T00:00:00Z stdout F line\n");
    following.wait_stdout("one line\n");
    std::fs::rename(&rotated, rotated.with_extension("old")).unwrap();
    append("2026-01-01T00:00:00Z stdout F after rotation\n");
    following.wait_stdout("after rotation\n");
    drop(following.kill());
}

pub fn chosen_by_flags(pod: &Pod<'_>) {
    let id_of = |words: &[&str]| {
        let status: Value = serde_json::from_str(&pod.text(words)).unwrap();
        status["status"]["id"].as_str().map(str::to_owned)
    };
    for chosen in [&["inspect", "--latest"][..], &["inspect", "-q", "--name", "^web$", "-s", "running"]] {
        assert_eq!(id_of(chosen).as_deref(), Some(&*pod.id), "{chosen:?}");
    }
    let none = pod.cri(&["inspect", "--name", "nosuch"]).run();
    none.fails(1, &[(What, "no container matches"), (Next, "ps -a")]);
    let every_field = pod.text(&["ps", "-v"]);
    assert!(every_field.contains("name: web\n") && every_field.contains("podSandboxId: "), "{every_field}");
    assert!(pod.text(&["images", "-f", "reference=/busybox"]).contains("stoop.test/busybox"));
    assert_eq!(pod.text(&["images", "-q", "-f", "reference=nosuch"]), "");
}

pub fn names_are_completed(pod: &Pod<'_>) {
    let socket = pod.containerd.socket();
    let offered = |words: &[&str]| {
        let run = stoop(["complete", "fish", "--", "cri", "-r"]).arg(&socket).args(words);
        run.env("STOOP_COMPLETE_TIMEOUT", "30s").run().ok().text()
    };
    assert_eq!(offered(&["logs", "we"]), format!("web\trunning {}\n", &pod.id[..13]));
    assert_eq!(offered(&["logs", &pod.id[..5]]).split('\t').next(), Some(&*pod.id));
    assert!(offered(&["port-forward", ""]).starts_with("web-pod\tready "));
    assert!(offered(&["rmi", ""]).contains(&format!("{IMAGE}\t")));
    assert_eq!(offered(&["log"]), "logs\tPrint the log of a container\n");
}

pub fn removal(pod: &Pod<'_>) {
    let running = [(What, "runs"), (Next, "rm -f")];
    pod.cri(&["rm", "web"]).run().fails(1, &running);
    pod.cri(&["rmp", "web-pod"]).run().fails(1, &[(What, "runs"), (Next, "rmp -f")]);
    let following = pod.cri(&["logs", "-f", "web"]).spawn();
    assert_eq!(pod.text(&["stop", "web"]).trim(), pod.id);
    following.finish().ok();
    assert_eq!(pod.text(&["ps", "-q"]), "");
    assert_eq!(lines(&pod.text(&["ps", "-a"]))[0][3], "Exited");
    // One of the two is not there.
    pod.cri(&["rm", "web", "nosuch"]).run().code(6).explains(&["no container 'nosuch'"]);
    let id = pod.text(&["create", "web-pod", "container.yaml", "pod.yaml"]);
    assert_eq!(lines(&pod.text(&["ps", "-a"]))[0][3], "Created");
    assert_eq!(pod.text(&["start", "web"]), id);
    assert_eq!(pod.text(&["stop", "--all"]), id);
    assert!(pod.text(&["rmp", "-f", "web-pod"]).starts_with("Removed sandbox "));
    assert_eq!(pod.text(&["pods", "-q"]), "");
    let unused = pod.text(&["rmi", "--prune"]);
    assert!(unused.contains(&format!("Deleted: {IMAGE}\n")), "{unused}");
    pod.cri(&["rmi", IMAGE]).run().code(1);
}
