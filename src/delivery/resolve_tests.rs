use super::*;

const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4));

fn found(list: &[(u16, &str, &[&str])]) -> Vec<Found> {
    list.iter()
        .map(|(preference, name, addresses)| {
            let answer = match addresses {
                ["?"] => Err(DnsFailure::Unanswered("SERVFAIL".into())),
                [] => Err(DnsFailure::NoRecords),
                some => Ok(AddressAnswer {
                    addresses: some.iter().map(|text| text.parse().unwrap()).collect(),
                    valid_for: Duration::from_mins(1),
                }),
            };
            (*preference, Domain::parse(name).unwrap(), answer)
        })
        .collect()
}

#[track_caller]
fn check(list: &[(u16, &str, &[&str])], want: Result<&[&str], &str>) {
    let got = select(&Domain::parse("example.org").unwrap(), found(list), &[OWN], false);
    let got = match &got {
        Ok(hosts) => Ok(hosts.iter().map(|host| &*host.name).collect::<Vec<_>>()),
        Err(failure) => Err(failure.reply.enhanced.unwrap().to_string()),
    };
    assert_eq!(got, want.map(<[_]>::to_vec).map_err(ToOwned::to_owned), "for {list:?}");
}

#[test]
fn mail_found_by_dns_goes_to_public_addresses_alone() {
    check(&[(10, "a", &["1.1.1.1"]), (20, "b", &["9.9.9.9"])], Ok(&["a", "b"]));
    check(&[(10, "a", &["10.0.0.1"]), (20, "b", &["9.9.9.9"])], Ok(&["b"]));
    check(&[(10, "a", &["127.0.0.1"])], Err("5.4.4"));
    check(&[(10, "a", &["::1", "fe80::1"])], Err("5.4.4"));
    check(&[(10, "a", &[])], Err("5.4.4"));
}

#[test]
fn mail_never_comes_back_to_this_host() {
    check(&[(10, "a", &["8.8.4.4"])], Err("5.4.6"));
    check(&[(10, "a", &["1.1.1.1"]), (20, "b", &["8.8.4.4"]), (30, "c", &["9.9.9.9"])], Ok(&["a"]));
    check(&[(10, "a", &["8.8.4.4"]), (10, "b", &["9.9.9.9"])], Err("5.4.6"));
}

#[test]
fn a_host_that_could_not_be_looked_up_leaves_the_mail_waiting() {
    check(&[(10, "a", &["?"])], Err("4.4.3"));
    check(&[(10, "a", &["?"]), (20, "b", &["9.9.9.9"])], Ok(&["b"]));
    check(&[(10, "a", &["?"]), (20, "b", &["10.0.0.1"])], Err("4.4.3"));
}

#[test]
fn hosts_of_equal_preference_take_turns() {
    let mut first = std::collections::HashSet::new();
    for _ in 0..200 {
        let list =
            found(&[(10, "a", &["1.1.1.1"]), (10, "b", &["9.9.9.9"]), (20, "c", &["9.9.9.10"])]);
        let hosts = select(&Domain::parse("example.org").unwrap(), list, &[], false).unwrap();
        assert_eq!(&*hosts[2].name, "c");
        first.insert(hosts[0].name.to_string());
    }
    assert_eq!(first.len(), 2);
}

#[test]
fn a_provider_is_the_registrable_domain_of_the_first_exchanger() {
    assert_eq!(provider_of("aspmx.l.google.com"), "google.com");
    assert_eq!(provider_of("mx.example.co.uk"), "example.co.uk");
    assert_eq!(provider_of("127.0.0.1"), "127.0.0.1");
    assert_eq!(provider_of("localhost"), "localhost");
}

#[test]
fn domains_with_the_same_hosts_share_connections() {
    let host = |name: &str| MxHost { name: name.into(), addresses: vec![OWN] };
    let of = |names: &[&str], port| {
        let hosts = names.iter().map(|name| host(name)).collect();
        route(hosts, String::new(), port, RouteTls::Never).fingerprint
    };
    assert_eq!(of(&["a", "b"], 25), of(&["b", "a"], 25));
    assert_ne!(of(&["a", "b"], 25), of(&["a", "c"], 25));
    assert_ne!(of(&["a"], 25), of(&["a"], 26));
}
