//! One record in full.

use super::letters::{Letter, printable};
use crate::render::time_text;
use anyhow::Result;
use std::io::Write;

/// Bytes in one line of the dump.
const LINE: usize = 16;

/// Prints the letters of one record: the reason of each projection, then key and bytes once.
pub fn show(letters: &[Letter], limit: usize, out: &mut impl Write) -> Result<()> {
    let Some(first) = letters.first() else {
        return Ok(());
    };
    let appended = time_text(first.head.append_us).unwrap_or_default();
    writeln!(out, "record    {}", first.coordinates())?;
    writeln!(out, "appended  {appended}")?;
    for letter in letters {
        writeln!(out, "reason    {} ({})", letter.head.reason.escape_debug(), letter.head.projection.escape_debug())?;
    }
    writeln!(out, "key       {}", String::from_utf8_lossy(&first.key).escape_debug())?;
    writeln!(out, "bytes     {}\n", first.value.len())?;
    dump(&first.value[..first.value.len().min(limit)], out)?;
    if first.value.len() > limit {
        writeln!(out, "... {} more; --bytes {} shows all", first.value.len() - limit, first.value.len())?;
    }
    Ok(())
}

fn dump(bytes: &[u8], out: &mut impl Write) -> Result<()> {
    for (ix, line) in bytes.chunks(LINE).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "{:08x}  {:<width$}  |{}|", ix * LINE, hex.join(" "), printable(line), width = LINE * 3 - 1)?;
    }
    Ok(())
}
