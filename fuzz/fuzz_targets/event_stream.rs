#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve::fuzzing::event_stream(data));
