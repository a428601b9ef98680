//! The demonstration: models, sample files, one answered question, then the page.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use clap::Args;

use super::{blocking, progress::Bar, serve_library, setup, show};
use crate::{
    app,
    config::Settings,
    datadir::{self, Owner},
    egress,
    error::Result,
    http,
    library::{AskEvent, SearchRequest},
};

#[derive(Args)]
pub(super) struct DemoArgs {
    /// Folder with the sample files
    #[arg(long, default_value = "samples/files", value_name = "DIR")]
    samples: PathBuf,
    /// Address and port of the page; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:7878", value_name = "HOST:PORT")]
    addr: String,
    /// End after the answer, without serving the page
    #[arg(long)]
    no_serve: bool,
}

/// A question that the sample files answer.
const QUESTION: &str = "How can the strategic alliance agreement with Fazync be terminated?";

pub(super) async fn run(
    args: DemoArgs,
    data_dir: PathBuf,
    settings: Settings,
    stop: Arc<AtomicBool>,
) -> Result<ExitCode> {
    let owned = match datadir::open(&data_dir)? {
        Owner::Us(owned) => owned,
        Owner::Server(contact) => {
            println!("The demonstration is running already: {}", contact.url);
            return Ok(ExitCode::SUCCESS);
        }
    };
    println!("1. Models");
    let for_setup = settings.clone();
    let stop_setup = stop.clone();
    blocking(move || {
        for entry in setup::needed(&for_setup)? {
            setup::install(entry, None, &for_setup, false, &stop_setup)?;
        }
        Ok(())
    })
    .await?;
    println!("   verified, in {}", settings.models.folder.display());

    let listener = if args.no_serve { None } else { Some(http::bind(&args.addr).await?) };
    egress::shut(&settings.store);

    println!("2. Sample files");
    let (path, for_library) = (owned.path().to_owned(), settings.clone());
    let library = Arc::new(blocking(move || app::open_library(&path, &for_library)).await?);
    library.warm_up();
    let (reader, samples) = (library.clone(), args.samples);
    let report = blocking(move || {
        let bar = Bar::new(false);
        reader.mend(&stop, &|progress| bar.note(progress))?;
        let report = reader.sync("samples", &samples, &stop, &|progress| bar.note(progress))?;
        bar.finish();
        Ok(report)
    })
    .await?;
    show::sync_report(&report, false);
    if report.interrupted {
        return Ok(ExitCode::from(130));
    }

    println!("3. A question\n   {QUESTION}\n");
    let request = SearchRequest { question: QUESTION.to_owned(), ..SearchRequest::default() };
    let bar = Bar::answering(false);
    let mut events = library.ask(request).await?;
    while let Some(event) = events.recv().await {
        match event {
            AskEvent::Passages(found) => bar.found(found.passages.len()),
            AskEvent::Evidence(quotes) => bar.quotes(&quotes),
            AskEvent::Queued(ahead) => bar.queued(ahead),
            AskEvent::Piece(piece) => bar.piece(&piece),
            AskEvent::Done(answer) => {
                bar.finish();
                show::answer(&answer, false);
            }
            AskEvent::Failed(error) => return Err(error),
        }
    }
    let Some(listener) = listener else { return Ok(ExitCode::SUCCESS) };
    println!("\n4. The search page");
    serve_library(listener, library, owned, settings).await
}
