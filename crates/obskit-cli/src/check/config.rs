//! `obskit check config FILE…`.

use std::path::PathBuf;

use obskit::config::Settings;

/// Checks each file by itself; the error has every problem of all of them.
pub(crate) fn check(files: &[PathBuf]) -> Result<(), String> {
    let mut problems = Vec::new();
    for file in files {
        let mut settings = Settings::default();
        // OK because the name comes from the code when no file sets it.
        settings.service.name = String::from("unnamed");
        let checked = settings.read_file(file).and_then(|()| settings.validate());
        match checked {
            Ok(()) => println!("{}: valid", file.display()),
            Err(error) => problems.push(format!("{}: {error}", file.display())),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}
