//! The batch job that a program runs in, so that its log tells which one, and whether it was started again.

/// One line about the Slurm job that this process runs in; none outside of one.
#[must_use]
pub fn slurm_job() -> Option<String> {
    described(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn described(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let array = variable("SLURM_ARRAY_JOB_ID").zip(variable("SLURM_ARRAY_TASK_ID"));
    let job = match array {
        Some((array, task)) => format!("{array}_{task}"),
        None => variable("SLURM_JOB_ID")?,
    };
    let node = variable("SLURMD_NODENAME").map_or_else(String::new, |node| format!(" on {node}"));
    let restart = variable("SLURM_RESTART_COUNT")
        .filter(|count| count != "0")
        .map_or_else(String::new, |count| format!(", restart {count}"));
    Some(format!("Slurm job {job}{node}{restart}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<String> {
        described(|name| {
            let found = variables.iter().find(|(there, _)| *there == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_job_tells_its_number_its_node_and_its_restarts() {
        assert_eq!(of(&[]), None);
        let job = [("SLURM_JOB_ID", "12"), ("SLURMD_NODENAME", "n3")];
        assert_eq!(of(&job).unwrap(), "Slurm job 12 on n3");
        let task = [
            ("SLURM_JOB_ID", "14"),
            ("SLURM_ARRAY_JOB_ID", "12"),
            ("SLURM_ARRAY_TASK_ID", "2"),
            ("SLURM_RESTART_COUNT", "1"),
        ];
        assert_eq!(of(&task).unwrap(), "Slurm job 12_2, restart 1");
    }
}
