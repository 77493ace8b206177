//! A stable hash of what a plan was made from: the same on every machine, in every version of the standard library.

/// A 128-bit FNV-1a hash that is fed in named parts. Good for telling sources apart; not for keeping secrets.
#[derive(Clone, Debug)]
pub struct StableHash {
    state: u128,
}

const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

impl Default for StableHash {
    fn default() -> Self {
        StableHash { state: OFFSET }
    }
}

impl StableHash {
    /// Of nothing.
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds a part. Its name and length are hashed too, so that parts cannot run into each other.
    pub fn part(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        self.feed(name.as_bytes());
        self.feed(&[0]);
        self.feed(&(bytes.len() as u64).to_le_bytes());
        self.feed(bytes);
        self
    }
    /// As 32 hexadecimal digits.
    pub fn hex(&self) -> String {
        format!("{:032x}", self.state)
    }
    fn feed(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.state = (self.state ^ b as u128).wrapping_mul(PRIME);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_and_no_running_together() {
        let mut plain = StableHash::new();
        plain.feed(b"a");
        // The published FNV-1a value of "a".
        assert_eq!(plain.hex(), "d228cb696f1a8caf78912b704e4a8964");
        let two = StableHash::new().part("x", b"ab").part("y", b"c").hex();
        assert_ne!(two, StableHash::new().part("x", b"a").part("y", b"bc").hex());
    }
}
