//! scratch
wit_bindgen::generate!({ path: "../wit", world: "policy" });
