//! Values that are one of a few words.

use super::{EMPTY, Value, ValueError};
use crate::{Forwarded, Ipv6, Mode, SelfCalls};

macro_rules! words {
    ($kind:ty, $allowed:literal, $($word:literal $value:pat => $make:expr),*) => {
        impl Value for $kind {
            fn read(&mut self, text: &str) -> Result<(), ValueError> {
                *self = match text.trim() {
                    $($word => $make,)*
                    "" => return Err(ValueError::new("", EMPTY, $allowed)),
                    other => return Err(ValueError::new(other, "is not known here", $allowed)),
                };
                Ok(())
            }

            fn text(&self) -> String {
                match self {
                    $($value => $word,)*
                }
                .to_owned()
            }
        }
    };
}

words!(Mode, "redirect or tproxy", "redirect" Self::Redirect => Self::Redirect, "tproxy" Self::Tproxy => Self::Tproxy);
words!(SelfCalls, "bypass or inbound", "bypass" Self::Bypass => Self::Bypass, "inbound" Self::Inbound => Self::Inbound);
words!(Forwarded, "leave or capture", "leave" Self::Leave => Self::Leave, "capture" Self::Capture => Self::Capture);
words!(
    Ipv6, "capture, bypass or reject",
    "capture" Self::Capture => Self::Capture, "bypass" Self::Bypass => Self::Bypass, "reject" Self::Reject => Self::Reject
);
words!(bool, "true or false", "true" true => true, "false" false => false);
