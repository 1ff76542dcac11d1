//! Linear probes: the last layer, one layer or some layers side by side go to the classifier as
//! they are. They are the baseline of every other head.

use tch::{Device, Tensor};

use super::parameters::Builder;
use super::{Common, Dropout, Head, HeadError, HeadOptions, Reading, Tokens};

/// Dropout and classifier on chosen layers.
pub(super) struct Probe {
    common: Common,
    /// Places in the store.
    chosen: Vec<usize>,
}

impl Probe {
    pub(super) fn new(
        options: &HeadOptions,
        device: Device,
        builder: Builder,
    ) -> Result<Self, HeadError> {
        Ok(Self {
            common: Common::new(options, device, builder)?,
            chosen: options.columns_read()?,
        })
    }
}

impl Head for Probe {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&self, _: &Tokens<'_>) -> Result<Reading, HeadError> {
        Ok(Reading::Layers(self.chosen.clone()))
    }

    fn features(
        &self,
        read: &Tensor,
        _: &Tokens<'_>,
        dropout: Option<&Dropout>,
    ) -> Result<Tensor, HeadError> {
        self.common.dropped(read.shallow_clone(), dropout)
    }
}
