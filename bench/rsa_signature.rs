//! Prints what one RSA-2048 signature costs by itself, in milliseconds: the floor of every signed message.
//!
//! The key is made by `openssl genpkey`; the signing is ring's, as DKIM's is.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a tool for people"
)]

use std::time::Instant;

use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

/// Enough for two stable digits.
const SIGNATURES: u32 = 2000;

fn main() {
    let made = std::process::Command::new("openssl")
        .args([
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-outform",
            "DER",
        ])
        .output()
        .expect("openssl");
    let key = RsaKeyPair::from_der(&made.stdout).expect("an RSA key");
    let (chance, mut signature) = (SystemRandom::new(), vec![0; key.public().modulus_len()]);
    let start = Instant::now();
    for number in 0..SIGNATURES {
        key.sign(&RSA_PKCS1_SHA256, &chance, &number.to_be_bytes(), &mut signature)
            .expect("a signature");
    }
    println!("{:.4}", start.elapsed().as_secs_f64() * 1000.0 / f64::from(SIGNATURES));
}
