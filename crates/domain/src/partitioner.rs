//! Which partition a key goes to: Kafka's murmur2, so that every producer and every log agree (I9).
//!
//! Source of the hash: `org.apache.kafka.common.utils.Utils.murmur2`, which is what the Java client's default
//! partitioner and librdkafka's `murmur2_random` use for records with a key.

const SEED: u32 = 0x9747_b28c;
const MIX: u32 = 0x5bd1_e995;
const SHIFT: u32 = 24;

/// Kafka's murmur2 of these bytes.
#[must_use]
pub const fn murmur2(bytes: &[u8]) -> u32 {
    let mut hash = SEED ^ bytes.len() as u32;
    let mut rest = bytes;
    while let Some((word, tail)) = rest.split_first_chunk::<4>() {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(MIX);
        word ^= word >> SHIFT;
        hash = hash.wrapping_mul(MIX) ^ word.wrapping_mul(MIX);
        rest = tail;
    }
    if !rest.is_empty() {
        let mut ix = 0;
        while ix < rest.len() {
            hash ^= (rest[ix] as u32) << (8 * ix);
            ix += 1;
        }
        hash = hash.wrapping_mul(MIX);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

/// The partition of a key among `partitions`, from 0; 0 where there are none.
#[must_use]
pub const fn partition_for(key: &[u8], partitions: u32) -> u32 {
    match (murmur2(key) & 0x7fff_ffff).checked_rem(partitions) {
        Some(partition) => partition,
        None => 0,
    }
}

/// Whether a record under that key may lie in `partition` (I9). What lies elsewhere was placed by another partitioner: a
/// retry through the right one would count twice.
#[must_use]
pub const fn belongs(key: &[u8], partition: u32, partitions: u32) -> bool {
    partition_for(key, partitions) == partition
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_as_kafka_does() {
        let vectors: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn drops_the_sign_before_the_remainder() {
        let positive = (-973_932_308_i32 as u32) & 0x7fff_ffff;
        assert_eq!(partition_for(b"21", 100), positive % 100);
        assert_eq!(partition_for(b"anything", 1), 0);
        assert_eq!(partition_for(b"anything", 0), 0);
    }

    /// I9: one partition of all of them.
    #[test]
    fn belongs_names_one_partition_of_a_key() {
        let homes: Vec<u32> = (0..10).filter(|partition| belongs(b"grove|willow", *partition, 10)).collect();
        assert_eq!(homes, [partition_for(b"grove|willow", 10)]);
    }

    proptest! {
        #[test]
        fn is_in_range(key in prop::collection::vec(any::<u8>(), 0..64), partitions in 1_u32..1_000) {
            prop_assert!(partition_for(&key, partitions) < partitions);
        }
    }
}
