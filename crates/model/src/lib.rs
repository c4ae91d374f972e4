//! The words and the rules of Carillon.
//!
//! Who is here: people, groups and devices (`directory`); what happened (`event`); what the organization wants
//! (`policy`); the ruling for one recipient and address (`decision`, made from `facts`); what then becomes of it
//! (`delivery`, `outcome`). The two contracts that other rooms fulfil stand in `source` and `channel`.
//!
//! Nothing here touches I/O, a runtime, the clock or chance: time and ids are handed in.

pub mod audit;
pub mod calls;
pub mod channel;
pub mod cmdlets;
pub mod decision;
pub mod delivery;
pub mod directory;
pub mod event;
pub mod facts;
pub mod ids;
pub mod limits;
pub mod objects;
pub mod outcome;
pub mod policy;
pub mod refusal;
pub mod roles;
pub mod source;
pub mod text;
pub mod time;

pub use channel::{Address, Channel, ChannelKind, Lane, Letter, LetterFile, Rendered, Slot};
pub use decision::{Decision, Reason, Rule, Verdict};
pub use delivery::{DeliveryId, State};
pub use event::{EventType, Urgency};
pub use facts::Facts;
pub use ids::{DeviceKey, EventKey, GroupKey, PersonKey, RegistrationKey, SegmentKey, TenantKey, WireId};
pub use outcome::{Cause, Outcome, ReceiptKind};
pub use refusal::{Fault, Refusal, RefusalKind};
pub use text::{Body, Locale, Title};
pub use time::{Clock, Timestamp};
