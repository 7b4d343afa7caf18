//! A program that says that it can take over from a supervisor, and then cannot.

use std::process::ExitCode;

use portreeve::supervisor::Heritage;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("take-over") {
        return ExitCode::SUCCESS;
    }
    let heritage = Heritage::find().expect("it can be read").expect("it is there");
    let reason = heritage.give_back("it was built to fail");
    eprintln!("there is no way back: {reason}");
    ExitCode::from(70)
}
