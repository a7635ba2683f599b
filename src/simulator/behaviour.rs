//! What each simulator address does, in SES's words. Pure.

use crate::mail::{Domain, EnhancedStatus, Mailbox, Reply};

/// The name that SES's users know.
const SES_DOMAIN: &str = "simulator.amazonses.com";

/// What an address of the simulator stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// `success@`: taken.
    Success,
    /// `bounce@`: the mailbox does not exist.
    Bounce,
    /// `complaint@`: taken; its owner complains.
    Complaint,
    /// `ooto@`: taken; its owner is out of the office.
    OutOfOffice,
    /// `suppressionlist@`: as a mailbox that bounced before.
    SuppressionList,
}

impl Behaviour {
    /// The behaviour of a local part; a `+label` changes nothing, so that users can tell their tests apart.
    pub fn of(mailbox: &Mailbox) -> Option<Behaviour> {
        let local = mailbox.local();
        let name = local.split_once('+').map_or(local, |(name, _)| name);
        match name.to_ascii_lowercase().as_str() {
            "success" => Some(Behaviour::Success),
            "bounce" => Some(Behaviour::Bounce),
            "complaint" => Some(Behaviour::Complaint),
            "ooto" => Some(Behaviour::OutOfOffice),
            "suppressionlist" => Some(Behaviour::SuppressionList),
            _ => None,
        }
    }

    /// Its answer to RCPT.
    pub fn answer(self) -> Result<(), Reply> {
        match self {
            Behaviour::Success | Behaviour::Complaint | Behaviour::OutOfOffice => Ok(()),
            Behaviour::Bounce => Err(refused(550, (1, 1), "User unknown")),
            Behaviour::SuppressionList => {
                Err(refused(550, (1, 1), "Address is on the suppression list"))
            }
        }
    }
}

/// The domains whose addresses the simulator of `host` answers for; a route brings them here.
pub fn domains(host: &Domain) -> Vec<Domain> {
    [format!("simulator.{host}"), SES_DOMAIN.to_owned()]
        .iter()
        .filter_map(|name| Domain::parse(name).ok())
        .collect()
}

/// The answer to RCPT of a simulator that answers for `domains`.
pub fn answer(domains: &[Domain], to: &Mailbox) -> Result<(), Reply> {
    if !domains.contains(to.domain()) {
        return Err(refused(554, (7, 1), "Relay access denied: this is the mailbox simulator"));
    }
    let known = Behaviour::of(to).ok_or_else(|| {
        refused(
            550,
            (1, 1),
            "The simulator knows success, bounce, complaint, ooto and suppressionlist",
        )
    })?;
    known.answer()
}

fn refused(code: u16, (subject, detail): (u16, u16), text: &str) -> Reply {
    let enhanced = Some(EnhancedStatus::new(5, subject, detail));
    Reply { code, enhanced, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, want: Result<(), &str>) {
        let domains = domains(&Domain::parse("mail.example.net").unwrap());
        let got = answer(&domains, &Mailbox::parse(address).unwrap());
        assert_eq!(
            got.map_err(|reply| reply.to_string()),
            want.map_err(str::to_owned),
            "for {address}"
        );
    }

    #[test]
    fn each_address_answers_as_at_ses() {
        for domain in ["simulator.mail.example.net", "simulator.amazonses.com"] {
            check(&format!("success@{domain}"), Ok(()));
            check(&format!("Success+label@{domain}"), Ok(()));
            check(&format!("complaint+1@{domain}"), Ok(()));
            check(&format!("ooto@{domain}"), Ok(()));
            check(&format!("bounce+a+b@{domain}"), Err("550 5.1.1 User unknown"));
            let listed = "550 5.1.1 Address is on the suppression list";
            check(&format!("suppressionlist@{domain}"), Err(listed));
        }
        let unknown =
            "550 5.1.1 The simulator knows success, bounce, complaint, ooto and suppressionlist";
        check("ann@simulator.amazonses.com", Err(unknown));
        let relay = "554 5.7.1 Relay access denied: this is the mailbox simulator";
        check("success@example.org", Err(relay));
    }
}
