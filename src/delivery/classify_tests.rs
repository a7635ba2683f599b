use FailureClass::{Content, Infrastructure, MailboxFull, Policy, Rate, Recipient, Reputation};

use super::*;

/// Stage, provider, code, text (with its status), class, whether the whole destination is meant. Shortened from the
/// replies that the providers document or that senders publish; addresses and ticket numbers are made up.
#[rustfmt::skip]
const REPLIES: &[(Stage, &str, u16, &str, FailureClass, bool)] = &[
    // Gmail and Workspace
    (Stage::Rcpt, "google.com", 550, "5.1.1 The email account that you tried to reach does not exist. Please try double-checking", Recipient, false),
    (Stage::Rcpt, "google.com", 550, "5.2.1 The email account that you tried to reach is disabled.", Recipient, false),
    (Stage::Rcpt, "google.com", 550, "5.2.1 The email account that you tried to reach is inactive.", Recipient, false),
    (Stage::Rcpt, "google.com", 452, "4.2.2 The email account that you tried to reach is over quota.", MailboxFull, false),
    (Stage::Rcpt, "google.com", 552, "5.2.2 The recipient's inbox is out of storage space and inactive.", MailboxFull, false),
    (Stage::Rcpt, "google.com", 450, "4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages", Rate, false),
    (Stage::Rcpt, "google.com", 450, "4.2.1 The user you are trying to contact is receiving mail too quickly.", Rate, false),
    (Stage::Dot, "google.com", 421, "4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address.", Rate, true),
    (Stage::Dot, "google.com", 550, "5.7.1 [192.0.2.1 12] Our system has detected that this message is likely unsolicited mail.", Content, false),
    (Stage::Dot, "google.com", 550, "5.7.1 [192.0.2.1] Gmail has detected that this message is likely suspicious due to the very low reputation of the sending domain.", Reputation, true),
    (Stage::Dot, "google.com", 421, "4.7.0 [192.0.2.1 15] suspicious due to the nature of the content; low reputation of the sending IP", Reputation, true),
    (Stage::Dot, "google.com", 550, "5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.", Policy, false),
    (Stage::Dot, "google.com", 550, "5.7.26 Unauthenticated email from example.org is not accepted due to domain's DMARC policy.", Policy, false),
    (Stage::Dot, "google.com", 550, "5.7.25 [192.0.2.1] The IP address sending this message does not have a PTR record", Policy, false),
    (Stage::Dot, "google.com", 552, "5.7.0 This message was blocked because its content presents a potential security issue.", Content, false),
    (Stage::Dot, "google.com", 552, "5.3.4 Your message exceeded Google's message size limits.", Policy, false),
    (Stage::Mail, "google.com", 421, "4.7.0 Try again later, closing connection. (MAIL)", Policy, false),
    (Stage::Rcpt, "google.com", 550, "5.7.1 The user or domain that you are sending to has a policy that prohibited the mail that you sent.", Policy, false),
    // Microsoft, consumer and 365
    (Stage::Rcpt, "outlook.com", 550, "5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", Recipient, false),
    (Stage::Mail, "outlook.com", 550, "5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).", Reputation, true),
    (Stage::Greeting, "outlook.com", 421, "RP-001 Unfortunately, some messages from 192.0.2.1 weren't sent: exceeded the rate limit", Rate, true),
    (Stage::Dot, "outlook.com", 550, "5.7.515 Access denied, sending domain example.org doesn't meet the required authentication level.", Policy, false),
    (Stage::Rcpt, "outlook.com", 550, "5.4.1 Recipient address rejected: Access denied. AS(201806281)", Recipient, false),
    (Stage::Rcpt, "outlook.com", 550, "5.7.606 Access denied, banned sending IP [192.0.2.1].", Reputation, true),
    (Stage::Rcpt, "outlook.com", 550, "5.7.511 Access denied, banned sender[192.0.2.1].", Reputation, true),
    (Stage::Rcpt, "outlook.com", 451, "4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS77714)", Rate, true),
    (Stage::Rcpt, "outlook.com", 451, "4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.", Rate, true),
    (Stage::Dot, "outlook.com", 550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", Recipient, false),
    (Stage::Dot, "outlook.com", 550, "5.7.1 RESOLVER.RST.AuthRequired; authentication required", Policy, false),
    (Stage::Dot, "outlook.com", 550, "5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; not authenticated", Policy, false),
    (Stage::Dot, "outlook.com", 554, "5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", MailboxFull, false),
    (Stage::Dot, "outlook.com", 432, "4.3.2 Concurrent connections limit exceeded. STOREDRV.Deliver", Infrastructure, false),
    (Stage::Rcpt, "outlook.com", 550, "5.7.64 TenantAttribution; Relay Access Denied", Policy, false),
    (Stage::Dot, "outlook.com", 550, "5.7.520 Message blocked because it contains content identified as spam. AS(4810)", Content, false),
    // Yahoo and AOL
    (Stage::Mail, "yahoodns.net", 421, "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1", Reputation, true),
    (Stage::Mail, "yahoodns.net", 553, "5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list", Reputation, true),
    (Stage::Dot, "yahoodns.net", 554, "delivery error: dd This user doesn't have a yahoo.com account (ann@yahoo.com) [0] - mta4.example", Recipient, false),
    (Stage::Dot, "yahoodns.net", 554, "delivery error: dd Requested mail action aborted - user's mailbox is full", MailboxFull, false),
    (Stage::Rcpt, "yahoodns.net", 552, "1 Requested mail action aborted, mailbox not found", Recipient, false),
    (Stage::Dot, "yahoodns.net", 554, "5.7.9 Message not accepted for policy reasons. See https://senders.yahooinc.com/", Content, false),
    (Stage::Rcpt, "yahoodns.net", 451, "4.7.0 [GL01] Message from (192.0.2.1) temporarily deferred", Rate, true),
    (Stage::Greeting, "yahoodns.net", 421, "4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred", Reputation, true),
    // Apple
    (Stage::Rcpt, "icloud.com", 550, "5.1.1 <ann@icloud.com>: user does not exist", Recipient, false),
    (Stage::Rcpt, "icloud.com", 552, "5.2.2 <ann@icloud.com>: user is over quota", MailboxFull, false),
    (Stage::Dot, "icloud.com", 550, "5.7.1 Mail from IP 192.0.2.1 was rejected due to listing in Spamhaus PBL", Reputation, true),
    (Stage::Dot, "icloud.com", 554, "5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/", Reputation, true),
    (Stage::Dot, "icloud.com", 554, "5.7.1 [HM08] Message rejected due to local policy.", Reputation, true),
    // GMX, WEB.DE, T-Online, Comcast, Orange, Free
    (Stage::Rcpt, "gmx.net", 550, "Requested action not taken: mailbox unavailable", Recipient, false),
    (Stage::Greeting, "gmx.net", 554, "gmx.net (mxgmx017) Nemesis ESMTP Service not available No SMTP service Bad DNS PTR resource record.", Reputation, true),
    (Stage::Rcpt, "gmx.net", 552, "Requested mail action aborted: exceeded storage allocation Quota exceeded.", MailboxFull, false),
    (Stage::Greeting, "t-online.de", 554, "IP=192.0.2.1 - None/bad reputation. Ask your postmaster for help or to contact tosa@rx.t-online.de for reset.", Reputation, true),
    (Stage::Greeting, "comcast.net", 554, "resimta-a1p.sys.comcast.net 192.0.2.1 found on one or more DNSBLs, see BL000001", Reputation, true),
    (Stage::Mail, "comcast.net", 421, "4.1.0 192.0.2.1 Throttled - try again later. Please see RL000001", Rate, true),
    (Stage::Rcpt, "comcast.net", 550, "5.1.1 Not our Customer", Policy, false),
    (Stage::Greeting, "orange.fr", 421, "mwinf5c04 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR004_104", Rate, true),
    (Stage::Rcpt, "orange.fr", 550, "5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416", Recipient, false),
    (Stage::Rcpt, "free.fr", 421, "Too many spams from your IP (192.0.2.1), please visit http://postmaster.free.fr/", Reputation, true),
    // Filter services
    (Stage::Greeting, "pphosted.com", 554, "Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", Reputation, true),
    (Stage::Rcpt, "pphosted.com", 550, "5.1.1 User Unknown", Recipient, false),
    (Stage::Dot, "pphosted.com", 554, "5.7.0 Reject, id=12345: spam score too high", Content, false),
    (Stage::Rcpt, "mimecast.com", 550, "Administrative prohibition - envelope blocked - https://community.mimecast.com/docs/DOC-1369#550", Policy, false),
    (Stage::Rcpt, "mimecast.com", 451, "Internal resources are temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451", Infrastructure, false),
    (Stage::Rcpt, "mimecast.com", 550, "Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550", Recipient, false),
    (Stage::Rcpt, "mimecast.com", 550, "csi.mimecast.org Poor Reputation Sender - https://community.mimecast.com/docs/DOC-1369#550", Reputation, true),
    (Stage::Rcpt, "messagelabs.com", 550, "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using a blocklist", Reputation, true),
    (Stage::Rcpt, "barracudanetworks.com", 550, "permanent failure for one or more recipients (ann@example.com:blocked)", Content, false),
    (Stage::Greeting, "barracudanetworks.com", 554, "Service unavailable; Client host [192.0.2.1] blocked using Barracuda Reputation; http://www.barracudanetworks.com/reputation/?r=1", Reputation, true),
    // Postfix, Exim, Sendmail, qmail and others as they come
    (Stage::Rcpt, "example.net", 550, "5.1.1 <ann@example.net>: Recipient address rejected: User unknown in virtual mailbox table", Recipient, false),
    (Stage::Rcpt, "example.net", 450, "4.2.0 <ann@example.net>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/", Rate, false),
    (Stage::Rcpt, "example.net", 554, "5.7.1 <ann@example.net>: Relay access denied", Policy, false),
    (Stage::Rcpt, "example.net", 450, "4.7.1 Client host rejected: cannot find your hostname, [192.0.2.1]", Reputation, true),
    (Stage::Rcpt, "example.net", 450, "4.1.8 <b@example.org>: Sender address rejected: Domain not found", Policy, false),
    (Stage::Rcpt, "example.net", 550, "relay not permitted", Policy, false),
    (Stage::Rcpt, "example.net", 550, "Unrouteable address", Recipient, false),
    (Stage::Rcpt, "example.net", 550, "No Such User Here", Recipient, false),
    (Stage::Dot, "example.net", 550, "5.7.1 Message contains a virus: Eicar-Test-Signature", Content, false),
    (Stage::Rcpt, "example.net", 552, "mailbox is full", MailboxFull, false),
    (Stage::Rcpt, "example.net", 451, "4.3.0 <ann@example.net>: Temporary lookup failure", Infrastructure, false),
    (Stage::Mail, "example.net", 452, "4.3.1 Insufficient system storage", Infrastructure, false),
    (Stage::Dot, "example.net", 451, "4.3.2 Please try again later", Infrastructure, false),
    (Stage::Rcpt, "example.net", 452, "4.5.3 Error: too many recipients", Rate, false),
    (Stage::Rcpt, "example.net", 550, "ann@example.net", Recipient, false),
    (Stage::Rcpt, "example.net", 550, "", Recipient, false),
    (Stage::Rcpt, "example.net", 550, "5.1.1 zustellung nicht möglich", Recipient, false),
    (Stage::Rcpt, "example.net", 550, "zustellung nicht möglich", Policy, false),
    (Stage::Dot, "example.net", 554, "Transaction failed", Policy, false),
    (Stage::Mail, "example.net", 530, "5.7.0 Must issue a STARTTLS command first", Policy, false),
    (Stage::Rcpt, "example.net", 550, "5.7.1 Rejected by policy", Policy, false),
    (Stage::Dot, "example.net", 554, "5.4.6 Routing loop detected: too many hops", Infrastructure, false),
    (Stage::Rcpt, "example.net", 550, "5.7.1 Recipient not authorized, your IP has been found on a block list", Reputation, true),
    (Stage::Rcpt, "example.net", 550, "5.7.1 You are not allowed: only members may post to this list", Policy, false),
];

#[test]
fn replies_of_the_real_world_are_told_apart() {
    let mut wrong = Vec::new();
    for &(stage, provider, code, text, class, whole_destination) in REPLIES {
        let reply = Reply::new(code, text);
        let got = classify(stage, &reply, provider);
        if got != (Verdict { class, whole_destination }) {
            wrong.push(format!("{code} {text}: {got:?}, not {class} {whole_destination}"));
        }
    }
    assert!(REPLIES.len() >= 60 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_first_digit_alone_decides_between_deferred_and_bounced() {
    for (code, want) in
        [(250, 'd'), (251, 'd'), (354, 'w'), (421, 'w'), (450, 'w'), (550, 'b'), (599, 'b')]
    {
        let got = match outcome(Stage::Rcpt, Reply::new(code, "no such user"), "example.net") {
            Outcome::Delivered(_) => 'd',
            Outcome::Deferred(_) => 'w',
            Outcome::Bounced(_) => 'b',
        };
        assert_eq!(got, want, "for {code}");
    }
}

#[test]
fn a_refusal_before_any_recipient_never_speaks_of_one() {
    for stage in [Stage::Greeting, Stage::Ehlo, Stage::Starttls] {
        for text in ["no such user", "user unknown", "", "mailbox unavailable"] {
            let verdict = classify(stage, &Reply::new(550, text), "example.net");
            assert_ne!(verdict.class, Recipient, "{stage} {text}");
        }
    }
}

#[test]
fn a_reply_built_to_be_slow_is_read_in_time() {
    let reply = Reply::new(550, &"user mailbox recipient account ".repeat(1000));
    for _ in 0..100 {
        let _ = classify(Stage::Rcpt, &reply, "example.net");
    }
}
