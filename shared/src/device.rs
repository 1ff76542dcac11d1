//! Where a program is to compute, as a user names it: one parser for both programs. Which of it
//! exists, each program finds out with the library that it computes with.

use std::fmt;
use std::str::FromStr;

/// A device, or several GPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU if there is one that works, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// These GPUs, by number, at least one and none twice; an error if one cannot be used.
    Gpus(Vec<usize>),
    /// All GPUs that the process may use, at least one.
    AllGpus,
}

/// A text that names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceChoiceError {
    /// Another word.
    #[error("unknown device {text:?}: expected auto, cpu, cuda, cuda:N, cuda:N,M or cuda:all")]
    Unknown {
        /// The text.
        text: String,
    },
    /// A GPU is named twice.
    #[error("GPU {number} is named twice in {text:?}")]
    Twice {
        /// Its number.
        number: usize,
        /// The text.
        text: String,
    },
}

impl DeviceChoice {
    /// Whether it may be more than one device.
    #[must_use]
    pub fn may_be_several(&self) -> bool {
        match self {
            Self::Gpus(numbers) => numbers.len() > 1,
            Self::AllGpus => true,
            Self::Auto | Self::Cpu => false,
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || DeviceChoiceError::Unknown {
            text: text.to_owned(),
        };
        let list = match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::Gpus(vec![0])),
            "cuda:all" => return Ok(Self::AllGpus),
            other => other.strip_prefix("cuda:").ok_or_else(unknown)?,
        };
        let mut numbers = Vec::new();
        for number in list.split(',') {
            let number = number.trim().parse().map_err(|_| unknown())?;
            if numbers.contains(&number) {
                let text = text.to_owned();
                return Err(DeviceChoiceError::Twice { number, text });
            }
            numbers.push(number);
        }
        Ok(Self::Gpus(numbers))
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::AllGpus => f.write_str("cuda:all"),
            Self::Gpus(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                write!(f, "cuda:{}", numbers.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_back_as_they_are_written() {
        for device in [
            DeviceChoice::Auto,
            DeviceChoice::Cpu,
            DeviceChoice::AllGpus,
            DeviceChoice::Gpus(vec![3]),
            DeviceChoice::Gpus(vec![2, 0]),
        ] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Gpus(vec![0])));
        assert_eq!("cuda:1, 2".parse(), Ok(DeviceChoice::Gpus(vec![1, 2])));
    }

    #[test]
    fn only_lists_and_all_may_be_several() {
        let several = |text: &str| text.parse::<DeviceChoice>().unwrap().may_be_several();
        assert!(several("cuda:0,1") && several("cuda:all"));
        assert!(!several("cuda:5") && !several("cuda") && !several("auto") && !several("cpu"));
    }

    #[test]
    fn what_is_no_device_is_told_with_what_would_be() {
        for wrong in [
            "", "gpu", "cuda:", "cuda:-1", "cuda:0,", "cuda:0,x", "cpu:0", "cuda:ALL",
        ] {
            let error = wrong.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains("cuda:all"), "{error}");
        }
        let error = "cuda:1,0,1".parse::<DeviceChoice>().unwrap_err();
        assert_eq!(error.to_string(), "GPU 1 is named twice in \"cuda:1,0,1\"");
    }
}
