//! Architecture and style as a test.
