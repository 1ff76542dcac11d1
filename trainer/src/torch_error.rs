//! libtorch's errors in one line for people. libtorch's own text has a trace of dozens of C++ functions,
//! and speaks of its allocator where memory is too small, not of what can be done.

use tch::TchError;

/// What to do where the memory of a GPU is not enough.
const REMEDIES: &str = "`--io mmap` has activations copied batch by batch instead of kept there; a run with a smaller \
                        --batch-size or --batch-tokens needs less; other jobs may be using this GPU";

/// The error of the main memory's allocator, all of it.
const CPU_ALLOCATOR: &str = "can't allocate memory";

/// The error in one line.
pub(crate) fn one_line(error: &TchError) -> String {
    let text = error.to_string();
    let text = text.split("\nException raised from").next().unwrap_or("");
    if is_out_of_memory(text) {
        return out_of_memory(text);
    }
    let line = text.lines().next().unwrap_or("");
    let line = line.strip_prefix("Internal torch error: ").unwrap_or(line);
    line.to_owned()
}

/// libtorch's own error, that of its matrix products, and that of the main memory's allocator.
fn is_out_of_memory(text: &str) -> bool {
    ["out of memory", "ALLOC_FAILED", CPU_ALLOCATOR]
        .iter()
        .any(|words| text.contains(words))
}

fn out_of_memory(text: &str) -> String {
    if text.contains(CPU_ALLOCATOR) {
        return "out of main memory; a smaller --batch-size or --batch-tokens takes less"
            .to_owned();
    }
    let between = |before: &str, after: &str| {
        let (_, rest) = text.split_once(before)?;
        rest.split_once(after).map(|(found, _)| found.trim())
    };
    let number = between("GPU ", " has a total capacity");
    let place = number.map_or_else(|| "the GPU".to_owned(), |number| format!("cuda:{number}"));
    let wanted = between("Tried to allocate ", ". ");
    let (total, free) = (
        between("total capacity of ", " of which"),
        between("of which ", " is free"),
    );
    let sizes = match (wanted, total, free) {
        (Some(wanted), Some(total), Some(free)) => {
            format!(" ({wanted} more were needed, {free} of {total} are free)")
        }
        _ => String::new(),
    };
    format!("out of memory on {place}{sizes}; {REMEDIES}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_a_line_with_what_to_do() {
        let error = |text: &str| one_line(&TchError::Torch(text.to_owned()));
        let trace = "\nException raised from malloc at CUDACachingAllocator.cpp:1574 (most recent call first):\nframe #0: f";
        let short = error(&format!(
            "CUDA out of memory. Tried to allocate 46.00 MiB. GPU 3 has a total capacity of 560.00 MiB of which 14.00 MiB is \
             free. Of the allocated memory 25.39 MiB is allocated by PyTorch.{trace}"
        ));
        assert!(
            short.starts_with("out of memory on cuda:3 (46.00 MiB more were needed, 14.00 MiB of 560.00 MiB are free); `--io mmap`"),
            "{short}"
        );
        for text in [
            "CUDA error: out of memory",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`",
        ] {
            let told = error(&format!("{text}\nFor debugging{trace}"));
            assert!(
                told.starts_with("out of memory on the GPU; `--io mmap`"),
                "{told}"
            );
        }
        let told = error(&format!(
            "CUDA error: an illegal memory access was encountered\nCompile with{trace}"
        ));
        assert_eq!(told, "CUDA error: an illegal memory access was encountered");
    }

    /// As libtorch says it, in main memory.
    #[test]
    fn real_errors_have_no_trace() {
        let zeros = |size: i64| tch::Tensor::f_zeros([size], (tch::Kind::Float, tch::Device::Cpu));
        let shapes = zeros(2).unwrap().f_add(&zeros(3).unwrap()).unwrap_err();
        let line = one_line(&shapes);
        assert!(
            line.contains("size of tensor") && !line.contains('\n'),
            "{line}"
        );
        let line = one_line(&zeros(1 << 55).unwrap_err());
        assert!(line.starts_with("out of main memory"), "{line}");
    }
}
