//! What every ledger promises, as tests.
