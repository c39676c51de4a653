//! The addresses of services that have several servers on a machine. Pure.

use stoop::Address;

use super::{Environment, Name};

/// Returns the address of one of several servers of a service: `work` of `tmux:work`. `None` if the
/// service has no such servers, or if the environment lacks something.
pub fn instance(name: Name, instance: &str, around: &Environment<'_>) -> Option<Address> {
    let (service, path) = name.services().find_map(|service| Some((service, service.instances?)))?;
    if instance.is_empty() || instance.contains('/') {
        return None;
    }
    Address::path(around.fill(service, path)?.replace('*', instance)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    fn named(word: &str) -> Name {
        word.parse().unwrap()
    }

    #[test]
    fn servers_of_a_user_are_found() {
        let around = |set: &[(&str, &str)]| {
            let variable = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            let around = Environment { variable: Some(&variable), uid: Some(7), ..Environment::default() };
            let work = instance(named("tmux"), "work", &around).unwrap();
            let default = find(named("tmux"), &around).unwrap()[0].address.to_string();
            (default, work.to_string())
        };
        let (default, work) = ("/tmp/tmux-7/default".to_owned(), "/tmp/tmux-7/work".to_owned());
        assert_eq!(around(&[]), (default, work.clone()));
        assert_eq!(around(&[("TMUX", "/x/tmux-7/a,812,0")]), ("/x/tmux-7/a".into(), work));
        let elsewhere = ("/y/tmux-7/default".into(), "/y/tmux-7/work".into());
        assert_eq!(around(&[("TMUX_TMPDIR", "/y")]), elsewhere);
        let nothing = Environment::default();
        assert_eq!(instance(named("tmux"), "work", &nothing), None);
        assert_eq!(instance(named("docker"), "work", &nothing), None);
        for wrong in ["", "../a"] {
            assert_eq!(instance(named("x11"), wrong, &nothing), None, "{wrong}");
        }
        let pool = instance(named("php-fpm"), "8.2", &nothing).unwrap();
        assert_eq!(pool.to_string(), "/run/php/php8.2-fpm.sock");
    }
}
