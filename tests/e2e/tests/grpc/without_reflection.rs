//! Servers without reflection: only what is proven is listed.

use std::path::Path;

use stoop_e2e::Part::{Next, Seen, What, Why};
use stoop_e2e::{program, stoop};
use stoop_testkit::{deadline, has_program, tempdir};
use tonic::service::Routes;

use crate::talk::LONG;

/// A server of two services: the one given as an argument, and one of its own.
const SERVER: &str = r#"
import grpc, sys
from concurrent import futures
def run(raw, context):
    print("ran", flush=True)
    return raw
def echo(methods):
    return {method: grpc.unary_unary_rpc_method_handler(run) for method in methods}
class Refuse(grpc.ServerInterceptor):
    def intercept_service(self, go_on, details):
        def refuse(request, context): context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        return grpc.unary_unary_rpc_method_handler(refuse)
server = grpc.server(futures.ThreadPoolExecutor(4), interceptors=[Refuse()] if "refuse" in sys.argv else [])
handler = grpc.method_handlers_generic_handler
server.add_generic_rpc_handlers((handler("own.v1.Own", echo(["Do"])),))
if "csi" in sys.argv:
    server.add_generic_rpc_handlers((handler("csi.v1.Identity", echo(["Probe", "GetPluginInfo"])),))
server.add_insecure_port("unix:" + sys.argv[1])
server.start()
print("serving", flush=True)
sys.stdin.read()
"#;

/// Runs a test with gRPC's C core, or skips it.
fn with_server(options: &[&str], test: impl FnOnce(&Path, &stoop_e2e::Running) + Send + 'static) {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers").join("python");
    if !library.join("grpc").is_dir() || !has_program("python3") {
        return;
    }
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    deadline(LONG, move || {
        let directory = tempdir();
        let path = directory.path().join("app.sock");
        let server = program("python3", ["-c", SERVER]).arg(&path).args(options);
        let server = server.env("PYTHONPATH", library).open_input().spawn();
        server.wait_stdout("serving");
        test(&path, &server);
    });
}

#[test]
fn only_services_that_are_proven_are_listed() {
    with_server(&["csi"], |path, server| {
        let list = stoop(["grpc"]).arg(path).arg("list").run().ok();
        assert!(list.stderr.contains("--proto"), "{}", list.stderr);
        assert_eq!(list.text(), "csi.v1.Identity\n");
        let methods = stoop(["grpc"]).arg(path).args(["list", "csi.v1.Identity"]).run().ok();
        assert!(methods.text().starts_with("csi.v1.Identity/GetPluginInfo\n"));
        // Nothing was run to find out.
        assert_eq!(server.stdout(), b"serving\n");
        let unproven = stoop(["grpc"]).arg(path).args(["list", "csi.v1.Node"]).run().ok();
        assert!(unproven.stderr.contains("not known whether the server has it"), "{}", unproven.stderr);
    });
}

#[test]
fn a_server_of_unknown_services_is_said_to_be_one() {
    with_server(&[], |path, _server| {
        let list = stoop(["grpc"]).arg(path).arg("list").run();
        list.fails(1, &[(What, "are not known"), (Why, "no reflection"), (Next, "--proto FILE.proto list")]);
        let call = stoop(["grpc"]).arg(path).arg("own.v1.Own/Do").run();
        call.fails(2, &[(What, "unknown method"), (Next, "--proto FILE.proto list")]);
    });
}

#[test]
fn a_server_that_refuses_is_said_to_refuse() {
    with_server(&["csi", "refuse"], |path, _server| {
        let list = stoop(["grpc"]).arg(path).arg("list").run();
        let seen = (Seen, "reflection failed");
        let parts = [(What, "are not known"), (Why, "UNAUTHENTICATED"), seen, (Next, "authorization")];
        assert!(!list.fails(1, &parts).stderr.contains("built-in definitions"));
    });
}

#[test]
fn services_of_tonic_are_proven() {
    deadline(LONG, || {
        let directory = tempdir();
        let path = directory.path().join("app.sock");
        let endpoint: stoop_grpc::Endpoint = path.to_str().unwrap().parse().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let incoming = runtime.block_on(endpoint.listen(|bind| bind)).unwrap();
        let (_reporter, routes) = runtime.block_on(async { stoop_grpc::health(Routes::default()) });
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let server = runtime.spawn(stoop_grpc::Server::new(routes).serve(incoming, ended));
        let list = stoop(["grpc"]).arg(&path).arg("list").run().ok().text();
        assert_eq!(list, "grpc.health.v1.Health\n");
        drop(end);
        runtime.block_on(server).unwrap().unwrap();
    });
}
