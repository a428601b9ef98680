//! The model that writes answers, opened when it is first needed: searching does not wait for it.

use crate::generate::{GenerateError, Generator};

type Open = Box<dyn Fn() -> Result<Box<dyn Generator>, GenerateError> + Send>;

/// A model that is open or can be opened. A worker owns it.
pub struct Model {
    make: Open,
    opened: Option<Box<dyn Generator>>,
}

impl Model {
    /// A model that `make` opens.
    pub fn new(make: impl Fn() -> Result<Box<dyn Generator>, GenerateError> + Send + 'static) -> Self {
        Self { make: Box::new(make), opened: None }
    }

    /// The model, opened now if it was not; a failure is tried again the next time.
    pub fn open(&mut self) -> Result<&mut dyn Generator, GenerateError> {
        let model = match self.opened.take() {
            Some(model) => model,
            None => (self.make)()?,
        };
        Ok(self.opened.insert(model).as_mut())
    }
}
