//! `version`: which release this is.

use super::{Context, Failure};

pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if context.out.json {
        context.out.json(&serde_json::json!({ "name": "postrider", "version": version }))
    } else {
        context.out.line(format!("postrider {version}"))
    }
}
