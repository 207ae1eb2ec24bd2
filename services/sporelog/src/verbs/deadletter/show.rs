//! One record in full, or as much of it as its letter holds.

use super::letters::{Letter, printable};
use crate::render::time_text;
use anyhow::Result;
use std::io::Write;

/// Bytes in one line of the dump.
const LINE: usize = 16;

/// Prints the letters of one record: the reason of each projection, then key and bytes once.
pub fn show(letters: &[Letter], out: &mut impl Write) -> Result<()> {
    let Some(first) = letters.first() else {
        return Ok(());
    };
    let appended = time_text(first.head.append_us).unwrap_or_default();
    let [key_bytes, value_bytes] = first.sizes();
    writeln!(out, "record    {}", first.coordinates())?;
    writeln!(out, "appended  {appended}")?;
    for letter in letters {
        writeln!(out, "reason    {} ({})", letter.head.reason.escape_debug(), letter.head.projection.escape_debug())?;
    }
    let more = if key_bytes > first.key.len() { format!("... ({key_bytes} bytes)") } else { String::new() };
    writeln!(out, "key       {}{more}", String::from_utf8_lossy(&first.key).escape_debug())?;
    writeln!(out, "bytes     {value_bytes}")?;
    if let Some([_, _, header_bytes]) = first.head.cut {
        writeln!(
            out,
            "cut       the letter holds the first {} bytes of the value: key, value and headers ({header_bytes} bytes) are \
             whole at {}, for as long as that topic keeps them",
            first.held[1],
            first.coordinates()
        )?;
    }
    writeln!(out)?;
    dump(&first.value, out)?;
    let held = first.held[1];
    if held > first.value.len() {
        writeln!(out, "... {} more; --bytes {held} shows all that the letter holds", held - first.value.len())?;
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
