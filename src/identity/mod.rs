//! Who may be written in From, and with which keys its mail is signed: identities, configuration sets, DKIM keys and the
//! DNS records that publish them.
//!
//! Nothing here speaks to DNS or to a client, and no secret leaves it in the clear.
