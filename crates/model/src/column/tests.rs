use proptest::prelude::*;

use super::*;

fn map(bits: &[bool]) -> Bitmap {
    bits.iter().copied().collect()
}

fn bits() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(any::<bool>(), 0..300)
}

fn column(values: &[Option<i64>]) -> Column {
    let mut column = Column::empty(ColumnType::Field(FieldType::Integer));
    for value in values {
        match value {
            Some(v) => column.push(&FieldValue::Integer(*v)),
            None => column.push_null(),
        }
    }
    column
}

fn read(column: &Column) -> Vec<Option<i64>> {
    let get =
        |i| column.get(i).map(|v| if let FieldValue::Integer(v) = v { v } else { panic!("an integer") });
    (0..column.len()).map(get).collect()
}

#[test]
fn words_of_another_owner_are_cut_to_length() {
    assert_eq!(Bitmap::from_words(vec![u64::MAX, u64::MAX], 65), Some(Bitmap::filled(true, 65)));
    assert_eq!(Bitmap::from_words(vec![u64::MAX; 3], 3), Some(Bitmap::filled(true, 3)));
    assert_eq!(Bitmap::from_words(vec![0], 65), None);
    assert_eq!(Bitmap::from_words(vec![], 0), Some(Bitmap::new()));
}

#[test]
fn nulls_hold_zeros() {
    for column_type in
        [FieldType::Float, FieldType::Integer, FieldType::Unsigned, FieldType::String, FieldType::Boolean]
    {
        let mut one_by_one = Column::empty(ColumnType::Field(column_type));
        (0..70).for_each(|_| one_by_one.push_null());
        let at_once = Column::nulls(ColumnType::Field(column_type), 70);
        assert_eq!(one_by_one, at_once);
        assert_eq!((at_once.len(), at_once.null_count(), at_once.get(3)), (70, 70, None));
    }
}

#[test]
fn strings_are_cut_and_padded() {
    let mut strings: StringColumn = ["a", "", "écu"].into_iter().collect();
    strings.push_empty(2);
    assert_eq!(strings.iter().collect::<Vec<_>>(), ["a", "", "écu", "", ""]);
    strings.truncate(2);
    strings.push("b");
    assert_eq!((strings.iter().collect::<Vec<_>>(), strings.data_bytes()), (vec!["a", "", "b"], 2));
    strings.truncate(9);
    assert_eq!(strings.len(), 3);
}

proptest! {
    #[test]
    fn a_bitmap_is_its_bits(bits in bits(), more in bits(), cut in 0..400_usize, n in 0..200_usize, bit: bool) {
        let mut model = bits.clone();
        let mut bitmap = map(&bits);
        prop_assert_eq!(bitmap.count_ones(), bits.iter().filter(|b| **b).count());
        prop_assert_eq!(bitmap.all(), bits.iter().all(|b| *b));
        let ones = bits.iter().zip(0..).filter(|(b, _)| **b).map(|(_, i)| i).collect::<Vec<u32>>();
        prop_assert_eq!(bitmap.ones(), ones);
        bitmap.push_n(bit, n);
        model.extend(std::iter::repeat_n(bit, n));
        let other = map(&more);
        let from = cut.min(more.len());
        let to = from + (more.len() - from) / 2;
        bitmap.extend_from(&other, from, to);
        model.extend_from_slice(&more[from..to]);
        prop_assert_eq!(&bitmap, &map(&model));
        bitmap.truncate(cut);
        model.truncate(cut);
        prop_assert_eq!(&bitmap, &map(&model));
        bitmap.push_n(bit, n);
        model.extend(std::iter::repeat_n(bit, n));
        bitmap.extend_from(&other, 0, more.len());
        model.extend_from_slice(&more);
        prop_assert_eq!(bitmap.iter().collect::<Vec<_>>(), model);
    }

    #[test]
    fn and_and_or_are_bit_by_bit(pairs in prop::collection::vec(any::<(bool, bool)>(), 0..200)) {
        let mut left: Bitmap = pairs.iter().map(|p| p.0).collect();
        left.or(&pairs.iter().map(|p| p.1).collect());
        prop_assert_eq!(left, pairs.iter().map(|p| p.0 | p.1).collect());
        let mut left = Bitmap::from_fn(pairs.len(), |i| pairs[i].0);
        prop_assert_eq!(&left, &pairs.iter().map(|p| p.0).collect());
        left.and(&Bitmap::from_fn(pairs.len(), |i| pairs[i].1));
        prop_assert_eq!(left, pairs.iter().map(|p| p.0 & p.1).collect());
    }

    #[test]
    fn texts_are_appended_as_they_are_and_an_empty_column_takes_no_more_room_than_they_need(
        first in prop::collection::vec(".{0,8}", 0..20),
        second in prop::collection::vec(".{0,8}", 0..20),
        cut in (0..21_usize, 0..21_usize),
    ) {
        let (to, from) = (cut.0.min(second.len()), cut.1.min(cut.0).min(second.len()));
        let other = StringColumn::from_iter(&second);
        let mut ours = StringColumn::from_iter(&first);
        ours.extend_from(&other, from, to);
        let expected: Vec<&str> = first.iter().chain(&second[from..to]).map(String::as_str).collect();
        prop_assert_eq!(ours.iter().collect::<Vec<_>>(), expected);

        let mut alone = Column::empty(ColumnType::Field(FieldType::String));
        alone.extend_from(&Column::new(Values::String(other)), from, to);
        let texts: usize = second[from..to].iter().map(String::len).sum();
        prop_assert!(alone.bytes() <= texts.max(8) + (to - from + 1).max(4) * 4, "{} bytes", alone.bytes());
    }

    #[test]
    fn a_column_is_its_values(
        values in prop::collection::vec(any::<Option<i64>>(), 0..150),
        others in prop::collection::vec(any::<Option<i64>>(), 0..150),
        cut in 0..200_usize,
        nulls in 0..80_usize,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..50),
    ) {
        let mut model = values.clone();
        let mut ours = column(&values);
        let other = column(&others);
        let from = cut.min(others.len());
        ours.extend_from(&other, from, others.len());
        model.extend_from_slice(&others[from..]);
        ours.push_nulls(nulls);
        model.extend(std::iter::repeat_n(None, nulls));
        prop_assert_eq!(read(&ours), model.clone());
        prop_assert_eq!(ours.null_count(), model.iter().filter(|v| v.is_none()).count());
        if !model.is_empty() {
            let indices: Vec<usize> = picks.iter().map(|p| p.index(model.len())).collect();
            let wanted: Vec<u32> = indices.iter().map(|i| u32::try_from(*i).expect("small")).collect();
            let picked = indices.iter().map(|i| model[*i]).collect::<Vec<_>>();
            prop_assert_eq!(read(&ours.gather(&wanted)), picked);
        }
        ours.truncate(cut);
        model.truncate(cut);
        prop_assert_eq!(read(&ours), model);
    }
}
