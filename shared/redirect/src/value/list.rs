//! Lists: items between commas, `*` for everything.

use super::{Value, ValueError};
use crate::Only;

/// The items of a list, trimmed, each through `parse`. No item at all, and a comma after the last, are fine.
pub(super) fn items<T, C: FromIterator<T>>(
    text: &str,
    allowed: &'static str,
    parse: impl Fn(&str) -> Result<T, ValueError>,
) -> Result<C, ValueError> {
    let trimmed = text.trim();
    let list = trimmed.strip_suffix(',').unwrap_or(trimmed).trim_end();
    if list.is_empty() {
        return Ok(std::iter::empty().collect());
    }
    let item = |item: &str| match item.trim() {
        "" => Err(ValueError::new("", "nothing stands between two commas", allowed)),
        "*" => Err(ValueError::new("*", "cannot be an item of this list", allowed)),
        item => parse(item),
    };
    list.split(',').map(item).collect::<Result<C, _>>().map_err(|error| error.within(text))
}

/// The same, of a list whose items cost the kernel or the plugin more than others.
pub(super) fn few<T, C: FromIterator<T>>(
    text: &str,
    most: usize,
    allowed: &'static str,
    parse: impl Fn(&str) -> Result<T, ValueError>,
) -> Result<C, ValueError> {
    let text = text.trim();
    let count = text.strip_suffix(',').unwrap_or(text).split(',').count();
    if count > most {
        let why = format!("lists {count} items, and the limit is {most}");
        return Err(ValueError::new(text, why, allowed));
    }
    items(text, allowed, parse)
}

/// `*`, or a list.
impl<T: Value + Default> Value for Only<T> {
    fn read(&mut self, text: &str) -> Result<(), ValueError> {
        if text.trim() == "*" {
            *self = Only::Any;
            return Ok(());
        }
        let mut these = T::default();
        these.read(text).map_err(ValueError::or_any)?;
        *self = Only::These(these);
        Ok(())
    }

    fn text(&self) -> String {
        match self {
            Only::Any => "*".to_owned(),
            Only::These(these) => these.text(),
        }
    }
}

/// Texts of items as one list.
pub(super) fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}
